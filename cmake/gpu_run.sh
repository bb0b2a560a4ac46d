#!/usr/bin/env bash
# Runs the bundle that `make gpu-bundle` packed: the test table and the benches on this machine's GPU, then fit and route
# on it and on the CPU, whose decisions have to be the same. Needs an NVIDIA driver; cuBLAS where the linker, the toolkit
# or a Python package has it (TRACER_CUBLAS names another); for the text encoder, libtorch where python3 has torch. Exit
# code 77: there is no GPU here, and nothing was tested. 90 seconds on an H100 without the encoder.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if [[ -z ${TRACER_CUBLAS:-} ]] && ! ldconfig -p | grep -q 'libcublas\.so\.13'; then
  packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2> /dev/null)
  for library in /usr/local/cuda*/lib64/libcublas.so.13 "$packages"/nvidia/*/lib/libcublas.so.13; do
    if [[ -r $library ]]; then export TRACER_CUBLAS=$library; fi
  done
fi
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
reason=$(./bench_gpu --benchmark_list_tests | sed -n 's/^bench_gpu: not applicable: //p')
if [[ -n $reason ]]; then
  echo "SKIPPED: $reason"
  exit 77
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2> /dev/null
failed=0
step() {
  echo "=== $1"
  shift
  "$@" || { echo "FAILED ($?): $*"; failed=$((failed + 1)); }
}
step "tests" ./kernels_tests --gtest_brief=1
torch=$(env -u LD_LIBRARY_PATH python3 -c 'import os, torch; print(os.path.join(torch.__path__[0], "lib"))' 2> /dev/null)
if [[ -n $torch ]]; then
  export TRACER_TORCH_LIB=$torch
  with_torch() { LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$torch "$@"; }
  step "tests of the encoder" with_torch ./torch_tests
  step "the encoder beside sentence-transformers" env -u LD_LIBRARY_PATH python3 encoder.py . data --model model --random-weights \
    --device cuda --sets banking77_train --texts 10003 --rounds 5
else
  echo "SKIPPED: the text encoder: python3 has no torch, whose libtorch it needs"
fi
step "benches" ./bench_gpu --benchmark_repetitions=5 --benchmark_min_time=0.1 \
  --benchmark_report_aggregates_only=true
if [[ -r data/banking77_train.npy ]]; then
  for device in cuda cpu; do
    step "fit on $device" ./tracer fit data/banking77_train.jsonl --embeddings data/banking77_train.npy --alpha 0.9 \
      -o "policy-$device" --device $device
  done
  # The same policy on both.
  for device in cuda cpu; do
    step "route on $device" ./tracer route policy-cpu data/banking77_test.jsonl --embeddings data/banking77_test.npy \
      -o "routed-$device.jsonl" --device $device
  done
  decisions() { sed -E 's/"(score|threshold)":[^,]*,?//g' "$1"; }
  step "same decisions" cmp <(decisions routed-cuda.jsonl) <(decisions routed-cpu.jsonl)
else
  echo "SKIPPED: fit and route: the bundle holds no data"
fi
echo "$failed steps failed"
((failed == 0))
