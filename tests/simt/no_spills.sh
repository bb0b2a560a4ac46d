#!/usr/bin/env bash
# no_spills.sh ROOT NVCC ARCH...: compiles each .cu of kernels/cuda and reads ptxas's account of every kernel; fails
# when one has a stack frame or spills. An empty NVCC: skipped (77).
set -euo pipefail
root=$1 nvcc=${2:-}
shift $(($# < 2 ? $# : 2))
if [[ -z $nvcc ]]; then
  echo "skipped: this build has no CUDA toolkit"
  exit 77
fi
kernels=0 bad=0
for source in "$root"/kernels/cuda/*.cu; do
  for arch in "$@"; do
    report=$("$nvcc" -std=c++20 -O3 -I"$root" -arch="sm_$arch" -cubin -Xptxas -v -o /dev/null "$source" 2>&1) || { echo "$report"; exit 1; }
    entries=$(grep -c "Compiling entry function" <<< "$report" || true)
    clean=$(grep -c "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" <<< "$report" || true)
    kernels=$((kernels + entries))
    if ((clean < entries)); then
      echo "${source#"$root"/}, sm_$arch: $((entries - clean)) of $entries kernels spill or use a stack"
      echo "$report"
      bad=1
    fi
  done
done
echo "$kernels kernels examined"
((kernels > 0 && bad == 0))
