#include "kernels/cpu/layers.h"

#include <algorithm>

namespace tracer::cpu {
namespace {

constexpr int64_t kColumns = 64;  // of one task of column_sums: its float64 sums stay in registers and cache

constexpr int64_t kChunk = 256;  // of slopes on the stack

void activate(const IsaKernels& isa, Activation activation, int64_t n, float* x) {
  if (activation == Activation::kGelu) return isa.gelu(x, n, x);
  for (int64_t j = 0; j < n; ++j) x[j] = x[j] > 0 ? x[j] : 0.0f;
}

void multiply_by_slope(const IsaKernels& isa, Activation activation, const float* pre, int64_t n, float* x) {
  if (activation == Activation::kRelu) {
    for (int64_t j = 0; j < n; ++j) x[j] = pre[j] > 0 ? x[j] : 0.0f;
    return;
  }
  float slope[kChunk];
  for (int64_t first = 0; first < n; first += kChunk) {
    const int64_t count = std::min(kChunk, n - first);
    isa.gelu_slope(pre + first, count, slope);
    for (int64_t j = 0; j < count; ++j) x[first + j] *= slope[j];
  }
}

}  // namespace

OutputStage OutputStage::columns(int64_t first, int64_t count) const {
  OutputStage s = *this;
  if (!bias.empty()) s.bias = bias.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  if (pre.data != nullptr) s.pre = {pre.data + first, pre.rows, count, pre.stride};
  if (backward.data != nullptr) s.backward = {backward.data + first, backward.rows, count, backward.stride};
  return s;
}

void finish_block(const IsaKernels& isa, const OutputStage& stage, int64_t r0, int64_t c0, int64_t rows, int64_t cols,
                  HostMatrix<float> c) {
  float* block = c.row(r0) + c0;
  if (!stage.bias.empty()) isa.add_bias(block, c.stride, rows, cols, stage.bias.data() + c0);
  for (int64_t r = 0; r < rows; ++r) {
    float* out = block + r * c.stride;
    if (stage.pre.data != nullptr) std::copy_n(out, cols, stage.pre.row(r0 + r) + c0);
    if (stage.activation == Activation::kNone) continue;
    if (stage.backward.data != nullptr) {
      multiply_by_slope(isa, stage.activation, stage.backward.row(r0 + r) + c0, cols, out);
    } else {
      activate(isa, stage.activation, cols, out);
    }
  }
}

Status column_sums(const Context& context, HostMatrix<const float> x, std::span<float> out) {
  if (static_cast<int64_t>(out.size()) != x.cols) return internal_error("column_sums: out must have x.cols values");
  run(*context.pool, ceil_div(x.cols, kColumns), [&](int64_t task, int) {
    const int64_t first = task * kColumns, count = std::min(kColumns, x.cols - first);
    double sum[kColumns] = {};
    for (int64_t i = 0; i < x.rows; ++i) {
      const float* row = x.row(i) + first;
      for (int64_t j = 0; j < count; ++j) sum[j] += static_cast<double>(row[j]);
    }
    for (int64_t j = 0; j < count; ++j) out[static_cast<size_t>(first + j)] = static_cast<float>(sum[j]);
  });
  return {};
}

}  // namespace tracer::cpu
