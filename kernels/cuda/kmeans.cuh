// k-means: the nearest centroid from a tile of products, and the mean of each centroid's rows.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kKmeansThreads = 128;

// half[j] = -|c_j|^2 / 2, summed in float64 in ascending column, as on the CPU; a thread a centroid.
TRACER_KERNEL half_norms_kernel(device::Global<const float> centroid, int64_t count, int64_t cols,
                                device::Global<float> half) {
  const int64_t j = device::block_index() * device::block_size() + device::thread_index();
  if (j >= count) return;
  double sum = 0.0;
  for (int64_t c = 0; c < cols; ++c) {
    const double v = static_cast<double>(centroid[j * cols + c]);
    sum += v * v;
  }
  half[j] = static_cast<float>(-0.5 * sum);
}

// label[row] = argmax over j of product(row, j) + half[j], ties to the lower; distance2 of x to that centroid where
// wanted. product: rows x count, x: rows x cols. A warp a row.
TRACER_KERNEL TRACER_MAX_THREADS(kKmeansThreads)
    assign_kernel(device::Global<const float> product, int64_t rows, int64_t count, device::Global<const float> half,
                  device::Global<const float> x, device::Global<const float> centroid, int64_t cols,
                  device::Global<int32_t> label, bool want_distance, device::Global<float> distance2) {
  const int64_t row = warp_in_grid();
  if (row >= rows) return;
  BestTwo two = no_best();
  for (int64_t j = lane_index(); j < count; j += device::kWarp) {
    take(two, product[row * count + j] + half[j], static_cast<int32_t>(j));
  }
  two = warp_best_two(two);
  if (want_distance) {
    double sum = 0.0;
    for (int64_t c = lane_index(); c < cols; c += device::kWarp) {
      const double v = static_cast<double>(x[row * cols + c]) -
                       static_cast<double>(centroid[static_cast<int64_t>(two.index) * cols + c]);
      sum += v * v;
    }
    sum = warp_sum(sum);
    if (lane_index() == 0) distance2[row] = static_cast<float>(sum);
  }
  if (lane_index() == 0) label[row] = two.index;
}

// A copy of the labels, to be sorted, and each row's number. A thread a row.
TRACER_KERNEL number_kernel(device::Global<const int32_t> label, int64_t rows, device::Global<int32_t> key,
                            device::Global<int32_t> order) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= rows) return;
  key[i] = label[i];
  order[i] = static_cast<int32_t>(i);
}

// begin[c] for c in [0, clusters]: how many of the ascending labels are below c. A thread an entry.
TRACER_KERNEL segment_begin_kernel(device::Global<const int32_t> label, int64_t rows, int64_t clusters,
                                   device::Global<int64_t> begin) {
  const int64_t c = device::block_index() * device::block_size() + device::thread_index();
  if (c > clusters) return;
  int64_t low = 0, high = rows;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (label[middle] < c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  begin[c] = low;
}

// sum (clusters x cols) goes on with the rows order[begin[c] .. begin[c + 1]) of x, in that order, in float64; so rows
// that come in several batches are summed as if they came in one. A thread an element; neighbouring threads read
// neighbouring columns.
TRACER_KERNEL add_rows_kernel(device::Global<const float> x, int64_t cols, device::Global<const int32_t> order,
                              device::Global<const int64_t> begin, int64_t clusters, device::Global<double> sum) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= clusters * cols) return;
  const int64_t first = begin[i / cols];
  const int64_t last = begin[i / cols + 1];
  double total = sum[i];
  for (int64_t r = first; r < last; ++r) total += static_cast<double>(x[order[r] * cols + i % cols]);
  sum[i] = total;
}

// size[c] += the rows of segment c; a thread a segment.
TRACER_KERNEL count_rows_kernel(device::Global<const int64_t> begin, int64_t clusters, device::Global<int64_t> size) {
  const int64_t c = device::block_index() * device::block_size() + device::thread_index();
  if (c < clusters) size[c] += begin[c + 1] - begin[c];
}

// The means; a centroid without rows stays.
TRACER_KERNEL mean_kernel(device::Global<const double> sum, device::Global<const int64_t> size, int64_t clusters,
                          int64_t cols, device::Global<float> centroid) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= clusters * cols) return;
  const int64_t rows = size[i / cols];
  if (rows > 0) centroid[i] = static_cast<float>(sum[i] / static_cast<double>(rows));
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
