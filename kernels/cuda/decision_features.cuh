// Softmax, argmax, top-1, top-2 and normalised entropy of each row of logits; one warp a row, two passes over it.
//
// Requires: at least one finite logit a row, no NaN; -inf removes a class. Determinism: lanes take the classes modulo
// 32 in ascending order, and the butterfly adds in an order that depends on K alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/row_decision.h"

namespace tracer::cuda {

// The largest logit with its class, and the second largest.
struct BestTwo {
  float best;
  float second;
  int32_t label;
};

TRACER_DEVICE BestTwo warp_best_two(BestTwo mine) {
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) {
    const float best = device::shuffle_xor(mine.best, mask);
    const float second = device::shuffle_xor(mine.second, mask);
    const int32_t label = device::shuffle_xor(mine.label, mask);
    mine.second = fmaxf(fminf(mine.best, best), fmaxf(mine.second, second));
    if (best > mine.best || (best == mine.best && label < mine.label)) {
      mine.best = best;
      mine.label = label;
    }
  }
  return mine;
}

TRACER_DEVICE float warp_sum(float value) {
  for (int mask = device::kWarp / 2; mask > 0; mask /= 2) value += device::shuffle_xor(value, mask);
  return value;
}

// Blocks of whole warps; as many blocks as give each row a warp.
TRACER_KERNEL decision_features_kernel(device::Global<const float> logits, int64_t rows, int64_t classes,
                                       int64_t stride, device::Global<RowDecision> out) {
  const int lane = device::thread_index() % device::kWarp;
  const int64_t row =
      device::block_index() * (device::block_size() / device::kWarp) + device::thread_index() / device::kWarp;
  if (row >= rows) return;  // the whole warp: its shuffles stay complete
  const device::Global<const float> x = logits + row * stride;

  BestTwo two = {-INFINITY, -INFINITY, INT32_MAX};
  for (int64_t c = lane; c < classes; c += device::kWarp) {
    const float v = x[c];
    if (two.label == INT32_MAX || v > two.best) {
      two.second = two.best;
      two.best = v;
      two.label = static_cast<int32_t>(c);
    } else {
      two.second = fmaxf(two.second, v);
    }
  }
  two = warp_best_two(two);

  float sum = 0.0f;       // of e = exp(v - best), at least 1
  float weighted = 0.0f;  // of e * (v - best)
  for (int64_t c = lane; c < classes; c += device::kWarp) {
    const float d = x[c] - two.best;
    const float e = expf(d);
    sum += e;
    if (e > 0.0f) weighted += e * d;  // not 0 * -inf
  }
  sum = warp_sum(sum);
  weighted = warp_sum(weighted);

  if (lane != 0) return;
  RowDecision decision = {two.label, 1.0f / sum, 0.0f, 0.0f};
  if (classes > 1) {
    decision.top2 = expf(two.second - two.best) / sum;
    const float entropy = (logf(sum) - weighted / sum) / logf(static_cast<float>(classes));
    decision.entropy = fminf(fmaxf(entropy, 0.0f), 1.0f);
  }
  out[row] = decision;
}

}  // namespace tracer::cuda
