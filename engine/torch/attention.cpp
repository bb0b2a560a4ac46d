#include "engine/torch/attention.h"

#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

namespace tracer {

using at::Tensor;

std::vector<LengthRun> length_runs(const TokenBatch& batch) {
  std::vector<LengthRun> runs;
  for (int64_t i = 0; i < batch.sequences(); ++i) {
    const int64_t length = batch.start[i + 1] - batch.start[i];
    if (runs.empty() || runs.back().length != length) runs.push_back({batch.start[i], 0, length});
    ++runs.back().sequences;
  }
  return runs;
}

Tensor attention_by_runs(const Tensor& qkv, const std::vector<LengthRun>& runs, int64_t heads) {
  const int64_t hidden = qkv.size(1) / 3, size = hidden / heads;
  Tensor context = at::empty({qkv.size(0), hidden}, qkv.options());
  for (const LengthRun& run : runs) {
    const int64_t tokens = run.sequences * run.length;
    // 3 x sequences x heads x length x size
    const Tensor parts = qkv.narrow(0, run.first_token, tokens)
                             .view({run.sequences, run.length, 3, heads, size})
                             .permute({2, 0, 3, 1, 4});
    const Tensor attended = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    context.narrow(0, run.first_token, tokens)
        .view({run.sequences, run.length, heads, size})
        .copy_(attended.transpose(1, 2));
  }
  return context;
}

Tensor attention_varlen(const Tensor& qkv, const Tensor& start, int64_t longest, int64_t heads) {
  const int64_t tokens = qkv.size(0), hidden = qkv.size(1) / 3;
  const Tensor parts = qkv.view({tokens, 3, heads, hidden / heads});
  const Tensor q = parts.select(1, 0), k = parts.select(1, 1), v = parts.select(1, 2);
  if (qkv.scalar_type() == at::kBFloat16)
    return std::get<0>(at::_flash_attention_forward(q, k, v, start, start, longest, longest, /*dropout_p=*/0.0,
                                                    /*is_causal=*/false, /*return_debug_mask=*/false))
        .reshape({tokens, hidden});
  return std::get<0>(at::_efficient_attention_forward(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), /*bias=*/{},
                                                      start, start, longest, longest, /*dropout_p=*/0.0,
                                                      /*custom_mask_type=*/0))
      .reshape({tokens, hidden});
}

}  // namespace tracer
