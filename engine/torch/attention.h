// Attention over sequences that lie one after the other, without padding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/text/transformer.h"

namespace tracer {

// Consecutive sequences of one length.
struct LengthRun {
  int64_t first_token, sequences, length;
};
std::vector<LengthRun> length_runs(const TokenBatch& batch);

// qkv: tokens x 3 hidden, queries, keys and values side by side, the heads of each one after the other. Result:
// tokens x hidden. One operation a run: any device, and fast where runs are long.
at::Tensor attention_by_runs(const at::Tensor& qkv, const std::vector<LengthRun>& runs, int64_t heads);

// The same by one kernel for all sequences, which CUDA devices have: FlashAttention-2 (Dao 2023, arXiv:2307.08691) for
// bfloat16, the memory-efficient kernels (Rabe and Staats 2021, arXiv:2112.05682) for float32. start: sequences + 1
// int32 on the device, as TokenBatch::start; longest: of the sequences. Throws c10::Error where the device has no such
// kernel.
at::Tensor attention_varlen(const at::Tensor& qkv, const at::Tensor& start, int64_t longest, int64_t heads);

}  // namespace tracer
