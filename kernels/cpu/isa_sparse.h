// A weighted sum of rows of a matrix. Included by isa_*.cpp only.
//
// Each output element is one chain of fma's over the entries in order, starting from 0, whichever vector it lies in:
// the last vector of a row overlaps the one before it instead of being partial.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

template <int Vectors>
inline void weighted_columns(int64_t count, const int32_t* index, const float* weight, const float* b, int64_t stride,
                             float* out) {
  V acc[Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) acc[v] = V{};
  for (int64_t e = 0; e < count; ++e) {
    const float* row = b + index[e] * stride;
    const V w = splat(weight[e]);
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) acc[v] = fma(w, load(row + v * kLanes), acc[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) store(out + v * kLanes, acc[v]);
}

// Fewer columns than a vector has lanes: the missing ones are 0.
inline void weighted_few(int64_t count, const int32_t* index, const float* weight, const float* b, int64_t stride,
                         int64_t cols, float* out) {
  V acc{};
  for (int64_t e = 0; e < count; ++e) {
    alignas(64) float row[kLanes] = {};
    for (int64_t c = 0; c < cols; ++c) row[c] = b[index[e] * stride + c];
    acc = fma(splat(weight[e]), load(row), acc);
  }
  store_first(out, acc, cols);
}

void weighted_rows(int64_t count, const int32_t* index, const float* weight, const float* b, int64_t stride,
                   int64_t cols, float* out) {
  if (cols < kLanes) {
    weighted_few(count, index, weight, b, stride, cols, out);
    return;
  }
  constexpr int64_t kWide = 5;  // 80 columns of 16 lanes: the usual numbers of labels in one or two passes
  int64_t c = 0;
  for (; c + kWide * kLanes <= cols; c += kWide * kLanes)
    weighted_columns<kWide>(count, index, weight, b + c, stride, out + c);
  for (; c + 2 * kLanes <= cols; c += 2 * kLanes) weighted_columns<2>(count, index, weight, b + c, stride, out + c);
  for (; c + kLanes <= cols; c += kLanes) weighted_columns<1>(count, index, weight, b + c, stride, out + c);
  if (c < cols) weighted_columns<1>(count, index, weight, b + cols - kLanes, stride, out + cols - kLanes);
}

}  // namespace
}  // namespace tracer::cpu
