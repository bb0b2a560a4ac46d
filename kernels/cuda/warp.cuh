// What 32 lanes do together: sums in a fixed order, the best two of many, a sorted list kept in registers.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

TRACER_DEVICE int lane_index() { return device::thread_index() % device::kWarp; }

// The warp's number in the grid, in blocks of whole warps.
TRACER_DEVICE int64_t warp_in_grid() {
  return device::block_index() * (device::block_size() / device::kWarp) + device::thread_index() / device::kWarp;
}

// The same sum in every lane, bit for bit: float32 or float64 addition is commutative.
template <class T>
TRACER_DEVICE T warp_sum(T value) {
  TRACER_UNROLL
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) value += device::shuffle_xor(value, mask);
  return value;
}

// The largest value of the warp, in every lane.
TRACER_DEVICE float warp_largest(float value) {
  TRACER_UNROLL
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) value = fmaxf(value, device::shuffle_xor(value, mask));
  return value;
}

// The largest value with its index (ties to the lower), and the second largest value.
struct BestTwo {
  float best;
  float second;
  int32_t index;
};

TRACER_DEVICE BestTwo no_best() { return {-INFINITY, -INFINITY, INT32_MAX}; }

// Takes one value more; the indices must ascend.
TRACER_DEVICE void take(BestTwo& two, float value, int32_t index) {
  if (two.index == INT32_MAX || value > two.best) {
    two.second = two.best;
    two.best = value;
    two.index = index;
  } else {
    two.second = fmaxf(two.second, value);
  }
}

TRACER_DEVICE BestTwo warp_best_two(BestTwo mine) {
  TRACER_UNROLL
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
    const float best = device::shuffle_xor(mine.best, mask);
    const float second = device::shuffle_xor(mine.second, mask);
    const int32_t index = device::shuffle_xor(mine.index, mask);
    mine.second = fmaxf(fminf(mine.best, best), fmaxf(mine.second, second));
    if (best > mine.best || (best == mine.best && index < mine.index)) {
      mine.best = best;
      mine.index = index;
    }
  }
  return mine;
}

// Descending scores; equal ones in ascending index.
TRACER_DEVICE bool before(float score, int32_t index, float other_score, int32_t other_index) {
  return score > other_score || (score == other_score && index < other_index);
}

// The best kSlots * 32 of what is inserted: entry e lies in slot e / 32 of lane e % 32. What is unused has index
// INT32_MAX and score -infinity.
template <int kSlots>
struct WarpList {
  static constexpr int kLength = kSlots * device::kWarp;
  float score[kSlots];
  int32_t index[kSlots];

  TRACER_DEVICE void clear() {
    TRACER_UNROLL
    for (int s = 0; s < kSlots; ++s) {
      score[s] = -INFINITY;
      index[s] = INT32_MAX;
    }
  }

  // What a newcomer must come before.
  TRACER_DEVICE float last_score() const { return device::shuffle(score[kSlots - 1], device::kWarp - 1); }
  TRACER_DEVICE int32_t last_index() const { return device::shuffle(index[kSlots - 1], device::kWarp - 1); }

  // The same arguments in every lane. Cost: a vote and two shuffles a slot.
  TRACER_DEVICE void insert(float new_score, int32_t new_index) {
    int position = 0;
    TRACER_UNROLL
    for (int s = 0; s < kSlots; ++s) {
      position += device::popcount(device::ballot(before(score[s], index[s], new_score, new_index)));
    }
    const int lane = lane_index();
    TRACER_UNROLL
    for (int s = kSlots - 1; s >= 0; --s) {
      float moved_score = device::shuffle_up(score[s], 1);
      int32_t moved_index = device::shuffle_up(index[s], 1);
      if (s > 0) {  // what falls off the end of the slot below
        const float carried_score = device::shuffle(score[s > 0 ? s - 1 : 0], device::kWarp - 1);
        const int32_t carried_index = device::shuffle(index[s > 0 ? s - 1 : 0], device::kWarp - 1);
        if (lane == 0) {
          moved_score = carried_score;
          moved_index = carried_index;
        }
      }
      const int entry = s * device::kWarp + lane;
      if (entry > position) {
        score[s] = moved_score;
        index[s] = moved_index;
      } else if (entry == position) {
        score[s] = new_score;
        index[s] = new_index;
      }
    }
  }
};

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
