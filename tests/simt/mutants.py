"""Do the harness and the oracles find what they are there to find?

mutants.py ROOT OUT PART COMPILER... -- LINK_ARGUMENT... : for each mutant of PART writes the kernels with one defect in it
below OUT, compiles mutant_kernels.cpp with them, links it with LINK_ARGUMENTs (the part's object of mutant_test.cpp comes
first), runs the program, and fails unless the program does. The unmutated control, built in the same way, has to pass.
Each pattern must occur exactly once in its file, so that none mutates nothing. mutants.py --parts prints the parts.
MUTANTS="name name" in the environment picks some.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

# (name, file below kernels/cuda, what to find, what to put there, the part of mutant_test.cpp that looks)
MUTANTS = [
    *[("control_" + part, None, None, None, part) for part in ("product", "rows", "layers", "search", "decide", "wide", "groups")],
    # a guard that lets one thread too many through
    ("gather_guard", "row_kernels.cuh", "if (row >= count) return;", "if (row > count) return;", "rows"),
    ("sparse_guard", "sparse.cuh", "if (row >= count) return;", "if (row > count) return;", "rows"),
    ("sparse_next", "sparse.cuh", "to = begin[first + row + 1];", "to = begin[first + row] + 1;", "rows"),
    ("activate_guard", "activation.cuh", "if (i >= count) return;", "if (i > count) return;", "layers"),
    ("rescore_guard", "topk.cuh", "  if (query >= queries) return;\n  const WarpList", "  if (query > queries) return;\n  const WarpList", "search"),
    ("parity_guard", "parity.cuh", "tied = i + 1 < p.rows && p.key", "tied = i + 1 <= p.rows && p.key", "groups"),
    ("segment_guard", "kmeans.cuh", "if (c > clusters) return;", "if (c >= clusters) return;", "groups"),
    # a barrier that is not there
    ("normalise_barrier", "row_kernels.cuh", "    device::sync_block();\n    double total", "    double total", "rows"),
    ("normalise_reuse", "row_kernels.cuh", "    device::sync_block();  // partial is written again for the next row\n", "", "rows"),
    ("gemm_barrier", "exact_gemm.cuh", "  device::sync_block();\n  int half = 0;", "  int half = 0;", "product"),
    ("gemm_reuse", "exact_gemm.cuh", "      device::sync_block();  // the next stage is there, and nobody reads this one any more\n", "", "product"),
    ("head_barrier", "decide.cuh", "      device::sync_block();\n      if (col < classes) {", "      if (col < classes) {", "decide"),
    ("head_reuse", "decide.cuh", "      device::sync_block();  // the piece is written again\n", "", "decide"),
    ("head_logits", "decide.cuh", "  device::sync_block();\n  for (int r = t / device::kWarp", "  for (int r = t / device::kWarp", "decide"),
    ("divergent_barrier", "exact_gemm.cuh", "      device::sync_block();  // the next stage", "      if (row0 + ti < shape.m) device::sync_block();  // the next stage", "product"),
    # a wrong lane
    ("sum_mask", "warp.cuh", "for (int mask = device::kWarp / 2; mask > 0; mask /= 2) value +=", "for (int mask = device::kWarp / 4; mask > 0; mask /= 2) value +=", "rows"),
    ("carry_lane", "warp.cuh", "const float carried_score = device::shuffle(score[s > 0 ? s - 1 : 0], device::kWarp - 1);", "const float carried_score = device::shuffle(score[s > 0 ? s - 1 : 0], device::kWarp - 2);", "search"),
    ("kth_lane", "topk.cuh", "static_cast<int>((out.k - 1) % device::kWarp)", "static_cast<int>(out.k % device::kWarp) * 0", "search"),
    ("label_lane", "wide_softmax.cuh", "if (lane == label % device::kWarp) {", "if (lane == (label + 1) % device::kWarp) {", "wide"),
    # off by one in a tile
    ("gemm_edge", "exact_gemm.cuh", "if (row < shape.m && col + e < shape.n) c", "if (row < shape.m && col + e <= shape.n) c", "product"),
    ("gemm_stage", "exact_gemm.cuh", "i >= rows ? 0 :", "i > rows ? 0 :", "product"),
    ("gemm_vector", "exact_gemm.cuh", "layout.vectors && left >= 4", "layout.vectors && left >= 0", "product"),
    ("gemm_half", "exact_gemm.cuh", "      half = 1 - half;\n", "", "product"),
    ("gemm_tail", "exact_gemm.cuh", "if (k0 + kDepth <= inner) {", "if (k0 + kDepth <= inner + kDepth) {", "product"),
    ("gemm_chain", "exact_gemm.cuh", "inline constexpr int64_t kChain = 384;", "inline constexpr int64_t kChain = 400;", "product"),
    ("select_cols", "topk.cuh", "score[a] = col < cols ?", "score[a] = col <= cols ?", "search"),
    ("select_ahead", "topk.cuh", "base += kAhead * device::kWarp", "base += (kAhead + 1) * device::kWarp", "search"),
    ("chunk_last", "activation.cuh", "first + kSumChunk < rows ? first + kSumChunk : rows", "first + kSumChunk < rows ? first + kSumChunk - 1 : rows", "layers"),
    ("head_shared", "decide.cuh", "return kHeadRows * (classes + kHeadDepth);", "return kHeadRows * (classes + kHeadDepth) - 1;", "decide"),
    # wrong arithmetic that only an oracle sees
    ("bound_missing", "topk.cuh", "static_cast<double>(excluded) + bound;", "static_cast<double>(excluded);", "search"),
    ("tie_order", "warp.cuh", "score == other_score && index < other_index", "score == other_score && index > other_index", "search"),
    ("best_tie", "warp.cuh", "best == mine.best && index < mine.index", "best == mine.best && index > mine.index", "groups"),
    ("round_half_up", "storage.cuh", "bits + 0x7fffu + (bits >> 16 & 1u)", "bits + 0x8000u", "search"),
    ("held_out", "wide_softmax.cuh", "w.fold[first + row] != w.held_out[model]", "w.fold[row] != w.held_out[model]", "wide"),
    ("parity_tie", "parity.cuh", "p.key[i + 1] == p.key[i];", "p.key[i + 1] == p.key[i] + 1;", "groups"),
    ("parity_warp", "parity.cuh", "(later == 1 || !together)", "later == 1", "groups"),
    ("parity_zero", "parity.cuh", "device::float_bits(score[i] + 0.0f)", "device::float_bits(score[i])", "groups"),
    ("slope", "activation.cuh", "return x > 0.0f ? 1.0f : 0.0f;", "return x >= 0.0f ? 1.0f : 0.0f;", "layers"),
]


def run_mutant(mutant, root, out, compiler, link):
    """Returns (name, problem or None, what happened)."""
    name, file, old, new, part = mutant
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "kernels/cuda", folder / "kernels/cuda")
    if file:
        path = folder / "kernels/cuda" / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            return name, f"its pattern occurs {text.count(old)} times in {file}", ""
        path.write_text(text.replace(old, new), encoding="utf-8")
    program = folder / "mutant_test"
    kernels = folder / "mutant_kernels.o"
    # The mutated folder comes first, so that "kernels/cuda/..." is found there and everything else in the tree.
    for command in ([*compiler, f"-DMUTANT_{part.upper()}", "-I", str(folder), "-I", str(root), "-c", "-o", str(kernels),
                     str(root / "tests/simt/mutant_kernels.cpp")],
                    [*compiler, "-o", str(program), str(kernels), *link]):
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            return name, "does not compile", built.stderr[:1500]
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=300)
    shutil.rmtree(folder)
    if "[==========]" not in ran.stdout:
        return name, "its tests did not start", ran.stdout + ran.stderr
    if file and ran.returncode == 0:
        return name, f"survives: nothing in {part} noticed", ran.stdout
    if not file and ran.returncode != 0:
        return name, "fails without a mutation", ran.stdout
    return name, None, ran.stdout


def why(log):
    words = {"out of bounds": "out of bounds", "before anything was written": "uninitialised", "no barrier between": "race",
             "divergent": "divergence", "unwritten": "unwritten", "a vector of four": "misaligned"}
    found = [short for long, short in words.items() if long in log]
    return "harness: " + ", ".join(found) if found else "oracle"


def main(arguments):
    parts = [m[4] for m in MUTANTS if not m[1]]
    if arguments == ["--parts"]:
        print(";".join(parts), end="")
        return
    root, out, part = pathlib.Path(arguments[0]).resolve(), pathlib.Path(arguments[1]).resolve(), arguments[2]
    split = arguments.index("--")
    compiler, link = arguments[3:split], arguments[split + 1:]
    chosen = os.environ.get("MUTANTS", "").split()
    mutants = [m for m in MUTANTS if m[4] == part and (not chosen or m[0] in chosen)]
    if part not in parts:
        sys.exit(f"no part {part}: {' '.join(parts)}")
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, problem, log in pool.map(lambda m: run_mutant(m, root, out, compiler, link), mutants):
            if problem:
                bad += 1
                print(f"{name:20} PROBLEM {problem}\n{log[-1500:]}")
            else:
                print(f"{name:20} {'passes' if name.startswith('control') else 'caught by the ' + why(log)}", flush=True)
    print(f"{len(mutants)} mutants, {bad} problems")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
