#!/usr/bin/env bash
# no_spills.sh ROOT NVCC [--table] ARCH...: compiles each .cu of kernels/cuda and reads ptxas's account of every kernel
# of ours; fails when one has a stack frame or spills. Thrust's and CUB's kernels are not ours. --table prints, for each
# kernel, its registers, static shared memory and the occupancy they allow, as rows of a table in Markdown
# (docs/kernels-on-gpu.md). An empty NVCC: skipped (77).
set -euo pipefail
root=$1 nvcc=${2:-}
shift $(($# < 2 ? $# : 2))
if [[ -z $nvcc ]]; then
  echo "skipped: this build has no CUDA toolkit"
  exit 77
fi
table=0
if [[ ${1:-} == --table ]]; then table=1 && shift; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for arch in "$@"; do
  for source in "$root"/kernels/cuda/*.cu; do
    "$nvcc" -std=c++20 -O3 -fmad=false -DTRACER_CUDA_MAJOR=\"13\" -I"$root" -arch="sm_$arch" -cubin -Xptxas -v \
      -o /dev/null "$source" > "$work/report" 2>&1 || { cat "$work/report"; exit 1; }
    { echo "source ${source##*/} $arch"; c++filt < "$work/report"; } >> "$work/all"
  done
done
python3 - "$work/all" $table << 'END'
import re, sys

# Threads of a block, and dynamic shared memory where the launch asks for it (head_kernel: 77 classes).
THREADS = {"normalise_rows": 128, "gather_rows": 256, "sparse_product": 256, "exact_gemm": 256, "activate": 256, "activation_backward": 256,
           "column_parts": 256, "column_total": 256, "parity_keys": 256, "disagreements": 256, "parity_prefix": 256,
           "parity_points": 256, "fill_zero": 256}
DYNAMIC = {"head": 4 * 16 * (77 + 64)}


def occupancy(threads, registers, shared):
    """Resident warps of 64, as sm_80 and sm_90 allocate: registers by 256 a warp, shared memory by 128 bytes + 1 KiB a block."""
    warps = threads // 32
    by_registers = 65536 // (-(-registers * 32 // 256) * 256) // warps
    by_shared = (227 << 10) // (-(-(shared + 1024) // 128) * 128)
    return min(by_registers, by_shared, 64 // warps, 32) * warps / 64


rows, bad, source = {}, [], ""
name = spilled = None
for line in open(sys.argv[1]):
    if line.startswith("source "):
        source = line.split()[1:]
    if found := re.search(r"Compiling entry function '(.*)' for", line):
        name = found[1]
        ours = re.search(r"tracer::cuda::\w+::(\w+)_kernel(<[^(]*>)?\(", name)
    elif "bytes stack frame" in line and name:
        spilled = not line.strip().startswith("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")
    elif (found := re.search(r"Used (\d+) registers", line)) and name:
        if ours:
            shared = re.search(r"(\d+) bytes smem", line)
            label = ours[1] + "_kernel" + (ours[2] or "").replace("tracer::", "").replace("(int)", "")
            rows.setdefault(label, (ours[1], int(found[1]), int(shared[1]) if shared else 0))
            if spilled:
                bad.append(f"{source[0]}, sm_{source[1]}: {label} spills or uses a stack")
        name = None
if sys.argv[2] == "1":
    print("| kernel | threads | registers | shared memory, bytes | occupancy |\n|---|---|---|---|---|")
    for label, (base, registers, static) in sorted(rows.items()):
        threads, dynamic = THREADS.get(base, 128), DYNAMIC.get(base, 0)
        memory = f"{static} + {dynamic} dynamic" if dynamic else str(static)
        print(f"| `{label}` | {threads} | {registers} | {memory} | {occupancy(threads, registers, static + dynamic):.0%} |")
else:
    print(f"{len(rows)} kernels examined")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(1 if bad or not rows else 0)
END
