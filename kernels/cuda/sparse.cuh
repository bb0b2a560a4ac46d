// A sparse matrix times a dense one: a warp a row of the output, its lanes along the columns.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kSparseThreads = 256;

// Row `first` + i of the product goes to row i of out (count x cols): each element is one chain of fused multiply-adds
// over the row's entries, in order.
TRACER_KERNEL sparse_product_kernel(device::Global<const int64_t> begin, device::Global<const int32_t> index,
                                    device::Global<const float> weight, device::Global<const float> b, int64_t cols,
                                    int64_t first, int64_t count, device::Global<float> out) {
  const int64_t row = warp_in_grid();
  if (row >= count) return;
  const int64_t from = begin[first + row], to = begin[first + row + 1];
  for (int64_t c = lane_index(); c < cols; c += device::kWarp) {
    float sum = 0.0f;
    for (int64_t e = from; e < to; ++e) sum = fmaf(weight[e], b[index[e] * cols + c], sum);
    out[row * cols + c] = sum;
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
