// What surrounds the products of a layer: bias and activation, their derivative, sums of columns. Arrays are dense.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cuda/device.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int kActivationThreads = 256;
inline constexpr int64_t kSumChunk = 256;  // rows whose sum one thread forms

// Phi(x), the normal distribution function.
TRACER_DEVICE float normal_cdf(float x) { return 0.5f * erfcf(-0.70710678f * x); }

TRACER_DEVICE float activate(Activation activation, float x) {
  if (activation == Activation::kRelu) return fmaxf(x, 0.0f);
  if (activation == Activation::kGelu) return x * normal_cdf(x);
  return x;
}

TRACER_DEVICE float activation_slope(Activation activation, float x) {
  if (activation == Activation::kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if (activation == Activation::kGelu) return normal_cdf(x) + x * 0.39894228f * expf(-0.5f * x * x);
  return 1.0f;
}

// c = activation(c + bias), in place; pre receives c + bias where keep_pre. Without bias: has_bias false.
TRACER_KERNEL activate_kernel(device::Global<float> c, int64_t count, int64_t cols, bool has_bias,
                              device::Global<const float> bias, Activation activation, bool keep_pre,
                              device::Global<float> pre) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= count) return;
  float v = c[i];
  if (has_bias) v += bias[i % cols];
  if (keep_pre) pre[i] = v;
  c[i] = activate(activation, v);
}

// c = c .* activation'(pre), in place.
TRACER_KERNEL activation_backward_kernel(device::Global<float> c, int64_t count, Activation activation,
                                         device::Global<const float> pre) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i < count) c[i] = c[i] * activation_slope(activation, pre[i]);
}

// part (chunks x cols): the float64 sums of kSumChunk rows each, in ascending order; a thread each.
template <class T>
TRACER_KERNEL column_parts_kernel(device::Global<const T> x, int64_t rows, int64_t cols, device::Global<double> part) {
  const int64_t chunks = (rows + kSumChunk - 1) / kSumChunk;
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i >= chunks * cols) return;
  const int64_t col = i % cols;
  const int64_t first = i / cols * kSumChunk;
  const int64_t last = first + kSumChunk < rows ? first + kSumChunk : rows;
  double sum = 0.0;
  for (int64_t r = first; r < last; ++r) sum += static_cast<double>(x[r * cols + col]);
  part[i] = sum;
}

// out[col] = the sum of its parts in ascending order.
template <class T>
TRACER_KERNEL column_total_kernel(device::Global<const double> part, int64_t chunks, int64_t cols,
                                  device::Global<T> out) {
  const int64_t col = device::block_index() * device::block_size() + device::thread_index();
  if (col >= cols) return;
  double sum = 0.0;
  for (int64_t p = 0; p < chunks; ++p) sum += part[p * cols + col];
  out[col] = static_cast<T>(sum);
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
