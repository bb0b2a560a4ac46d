// Softmax cross-entropy of many models side by side: logits become gradients of logits, in place.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/warp.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kWideThreads = 128;

// The models of one pass, and the rows of one block of it.
struct WideModels {
  int64_t models;
  int64_t classes;
  device::Global<const float> bias;        // models x classes; -infinity removes
  device::Global<const float> scale;       // models: 1 / rows it learns from
  device::Global<const int32_t> held_out;  // models: the fold it must not learn from, -1: none
  device::Global<const int32_t> answers;   // models: 1: its probabilities are what the rows it holds out receive
  device::Global<const int32_t> label;     // n
  device::Global<const int32_t> fold;      // n
};

// z (rows x models * classes): logits without bias of the rows from first on; becomes scale * (p - onehot), 0 where the
// row is held out. loss (rows x models): -ln p(label), 0 where it is held out. held (rows x classes), where wanted: see
// Backend::wide_softmax. A warp a row and model.
TRACER_KERNEL TRACER_MAX_THREADS(kWideThreads)
    cross_entropy_kernel(device::Global<float> z, int64_t first, int64_t rows, WideModels w,
                         device::Global<double> loss, bool want_held, device::Global<float> held) {
  const int64_t item = warp_in_grid();
  if (item >= rows * w.models) return;
  const int64_t row = item / w.models;
  const int64_t model = item % w.models;
  const int lane = lane_index();
  const device::Global<float> x = z + (row * w.models + model) * w.classes;
  const device::Global<const float> bias = w.bias + model * w.classes;

  float best = -INFINITY;
  for (int64_t c = lane; c < w.classes; c += device::kWarp) best = fmaxf(best, x[c] + bias[c]);
  best = warp_largest(best);
  float sum = 0.0f;
  if (best > -INFINITY) {
    for (int64_t c = lane; c < w.classes; c += device::kWarp) sum += expf(x[c] + bias[c] - best);
  }
  sum = warp_sum(sum);
  const float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;

  const int32_t label = w.label[first + row];
  const bool learns = w.held_out[model] < 0 || w.fold[first + row] != w.held_out[model];
  const bool answers = !learns && want_held && w.answers[model] != 0;
  // The label's own lane knows its logit before it is overwritten.
  if (lane == label % device::kWarp) {
    const float own = x[label] + bias[label];
    loss[row * w.models + model] =
        learns ? log(static_cast<double>(sum)) - (static_cast<double>(own) - static_cast<double>(best)) : 0.0;
  }
  const float scale = w.scale[model];
  for (int64_t c = lane; c < w.classes; c += device::kWarp) {
    const float p = inverse > 0.0f ? expf(x[c] + bias[c] - best) * inverse : 0.0f;
    if (answers) held[row * w.classes + c] = p;
    x[c] = learns ? scale * (p - (c == label ? 1.0f : 0.0f)) : 0.0f;
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
