// GELU, x * Phi(x), and its slope. Included by isa_*.cpp only, after isa_softmax.h.
#pragma once

#include "kernels/cpu/isa_softmax.h"

namespace tracer::cpu {
namespace {

// Phi(x) = erfc(-x / sqrt 2) / 2, by the Chebyshev fit of erfc in Press et al., Numerical Recipes, "erfcc": relative
// error below 1.2e-7 for positive arguments; the exponent, up to 87, adds its own rounding where Phi is tiny.
inline V normal_cdf(V x) {
  const V z = maximum(x, -x) * splat(0.70710678118654752f);
  const V t = splat(1.0f) / fma(z, splat(0.5f), splat(1.0f));
  V p = splat(0.17087277f);
  p = fma(p, t, splat(-0.82215223f));
  p = fma(p, t, splat(1.48851587f));
  p = fma(p, t, splat(-1.13520398f));
  p = fma(p, t, splat(0.27886807f));
  p = fma(p, t, splat(-0.18628806f));
  p = fma(p, t, splat(0.09678418f));
  p = fma(p, t, splat(0.37409196f));
  p = fma(p, t, splat(1.00002368f));
  p = fma(p, t, splat(-1.26551223f));
  const V half = splat(0.5f) * t * exp_lanes(p - z * z);
  return x > V{} ? splat(1.0f) - half : half;
}

inline V gelu_lanes(V x) { return x * normal_cdf(x); }

inline V gelu_slope_lanes(V x) {
  const V density = splat(0.39894228040143268f) * exp_lanes(splat(-0.5f) * x * x);
  return fma(x, density, normal_cdf(x));
}

void gelu(const float* x, int64_t n, float* y) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) store(y + j, gelu_lanes(load(x + j)));
  map_array<gelu_lanes>(x + j, n - j, y + j);
}

void gelu_slope(const float* x, int64_t n, float* y) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) store(y + j, gelu_slope_lanes(load(x + j)));
  map_array<gelu_slope_lanes>(x + j, n - j, y + j);
}

}  // namespace
}  // namespace tracer::cpu
