// Scales each row to unit Euclidean length, in place; one block a row at a time. The sum of squares is float64, added
// in an order that depends on the row's length and the block's size alone. Rows of length 0 stay 0.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace tracer::cuda {

inline constexpr int kNormaliseThreads = 128;

// Blocks of kNormaliseThreads; any number of blocks.
TRACER_KERNEL normalise_rows_kernel(device::Global<float> data, int64_t rows, int64_t cols, int64_t stride) {
  constexpr int kWarps = kNormaliseThreads / device::kWarp;
  TRACER_SHARED(double, partial, kWarps);
  const int lane = device::thread_index() % device::kWarp;
  const int warp = device::thread_index() / device::kWarp;

  for (int64_t row = device::block_index(); row < rows; row += device::grid_size()) {
    const device::Global<float> x = data + row * stride;
    double sum = 0.0;
    for (int64_t c = device::thread_index(); c < cols; c += kNormaliseThreads) {
      const double v = x[c];
      sum += v * v;
    }
    for (int mask = device::kWarp / 2; mask > 0; mask /= 2) sum += device::shuffle_xor(sum, mask);
    if (lane == 0) partial[warp] = sum;
    device::sync_block();
    double total = 0.0;
    for (int w = 0; w < kWarps; ++w) total += partial[w];
    device::sync_block();  // partial is written again for the next row
    if (total > 0.0) {
      const double scale = 1.0 / sqrt(total);
      for (int64_t c = device::thread_index(); c < cols; c += kNormaliseThreads) {
        x[c] = static_cast<float>(x[c] * scale);
      }
    }
  }
}

}  // namespace tracer::cuda
