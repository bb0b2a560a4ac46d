// The parity sweep around a sort and a scan (kernels/parity.h).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kParityThreads = 256;

// The number of the segment that owns row i: begin has segments + 1 entries, some segments may be empty.
TRACER_DEVICE int64_t segment_of(device::Global<const int64_t> begin, int64_t segments, int64_t i) {
  int64_t low = 0, high = segments;  // begin[low] <= i < begin[high]
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (begin[middle] <= i) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// key[i]: ascending keys are ascending segments, and within one descending scores. +0 and -0 are one score.
TRACER_KERNEL parity_keys_kernel(device::Global<const float> score, int64_t rows, device::Global<const int64_t> begin,
                                 int64_t segments, device::Global<uint64_t> key, device::Global<int32_t> order) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= rows) return;
  const uint32_t bits = device::float_bits(score[i] + 0.0f);
  const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  key[i] = static_cast<uint64_t>(segment_of(begin, segments, i)) << 32 | static_cast<uint64_t>(~ascending);
  order[i] = static_cast<int32_t>(i);
}

// disagree[i] = 1 where the row that is i-th in order disagrees.
TRACER_KERNEL disagreements_kernel(device::Global<const uint8_t> agree, device::Global<const int32_t> order,
                                   int64_t rows, device::Global<int32_t> disagree) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i < rows) disagree[i] = agree[order[i]] == 0 ? 1 : 0;
}

struct ParityRows {
  int64_t rows;
  int64_t segments;
  int64_t alphas;
  device::Global<const int64_t> begin;
  device::Global<const uint64_t> key;       // sorted
  device::Global<const int32_t> disagrees;  // running sum over all rows, in order
  device::Global<const int32_t> allowed;    // alphas x allowed_stride
  int64_t allowed_stride;
};

// handled (segments x alphas, 0 before): the longest prefix that passes. A thread a row; a maximum does not depend on
// the order in which it is taken. Of a warp within one segment the last row that passes speaks for all, for the few
// addresses take one atomic at a time.
TRACER_KERNEL parity_prefix_kernel(ParityRows p, device::Global<int64_t> handled) {
  const int64_t row = device::block_index() * device::block_size() + device::thread_index();
  const int64_t i = row < p.rows ? row : p.rows - 1;  // all lanes vote
  const bool tied = i + 1 < p.rows && p.key[i + 1] == p.key[i];
  const bool cuts = row < p.rows && !tied;  // a tie is never cut
  const int64_t segment = static_cast<int64_t>(p.key[i] >> 32);
  const int64_t first = p.begin[segment];
  const int64_t prefix = i + 1 - first;
  const int32_t wrong = p.disagrees[i] - (first > 0 ? static_cast<int32_t>(p.disagrees[first - 1]) : 0);
  const bool together = device::all(segment == device::shuffle(segment, 0));
  for (int64_t a = 0; a < p.alphas; ++a) {
    const bool passes = cuts && wrong <= p.allowed[a * p.allowed_stride + prefix];
    const uint32_t later = device::ballot(passes) >> lane_index();  // bit 0 is this lane's
    if (passes && (later == 1 || !together)) device::atomic_max(handled, segment * p.alphas + a, prefix);
  }
}

// A thread a segment and alpha: the disagreements in the prefix, and the score of the row that follows it (-infinity
// where none does, +infinity for an empty segment).
TRACER_KERNEL parity_points_kernel(ParityRows p, device::Global<const float> score, device::Global<const int32_t> order,
                                   device::Global<const int64_t> handled, device::Global<int64_t> wrong,
                                   device::Global<float> next) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= p.segments * p.alphas) return;
  const int64_t first = p.begin[i / p.alphas];
  const int64_t last = p.begin[i / p.alphas + 1];
  const int64_t kept = handled[i];
  int32_t disagree = 0;
  if (kept > 0)
    disagree = p.disagrees[first + kept - 1] - (first > 0 ? static_cast<int32_t>(p.disagrees[first - 1]) : 0);
  wrong[i] = disagree;
  next[i] = first == last ? INFINITY : first + kept < last ? static_cast<float>(score[order[first + kept]]) : -INFINITY;
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
