// Rows one by one: unit length, picked by index. Arrays are dense.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kNormaliseThreads = 128;
inline constexpr int64_t kNormaliseRows = 4;  // of a block, one after the other
inline constexpr int kElementThreads = 256;

// Scales each row to unit Euclidean length, in place; one block a row at a time. The sum of squares is float64, added
// in an order that depends on the row's length alone. Rows of length 0 stay 0. Blocks of kNormaliseThreads; any number.
TRACER_KERNEL normalise_rows_kernel(device::Global<float> data, int64_t rows, int64_t cols) {
  constexpr int kWarps = kNormaliseThreads / device::kWarp;
  TRACER_SHARED(double, partial, kWarps);
  const int warp = device::thread_index() / device::kWarp;

  for (int64_t row = device::block_index(); row < rows; row += device::grid_size()) {
    const device::Global<float> x = data + row * cols;
    double sum = 0.0;
    for (int64_t c = device::thread_index(); c < cols; c += kNormaliseThreads) {
      const double v = static_cast<double>(x[c]);
      sum += v * v;
    }
    sum = warp_sum(sum);
    if (lane_index() == 0) partial[warp] = sum;
    device::sync_block();
    double total = 0.0;
    for (int w = 0; w < kWarps; ++w) total += partial[w];
    device::sync_block();  // partial is written again for the next row
    if (total > 0.0) {
      const double scale = 1.0 / sqrt(total);
      for (int64_t c = device::thread_index(); c < cols; c += kNormaliseThreads) {
        x[c] = static_cast<float>(static_cast<double>(x[c]) * scale);
      }
    }
  }
}

// Row i of out (count x cols) is row index[i] of x; a warp a row.
TRACER_KERNEL gather_rows_kernel(device::Global<const float> x, int64_t cols, device::Global<const int64_t> index,
                                 int64_t count, device::Global<float> out) {
  const int64_t row = warp_in_grid();
  if (row >= count) return;
  const int64_t from = index[row] * cols;
  if (cols % 4 == 0) {
    for (int64_t c = 4 * lane_index(); c < cols; c += 4 * device::kWarp) {
      device::store4(out, row * cols + c, device::load4(x, from + c));
    }
  } else {
    for (int64_t c = lane_index(); c < cols; c += device::kWarp) out[row * cols + c] = x[from + c];
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
