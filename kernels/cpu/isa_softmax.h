// Exponential, logarithm and the row operations built on them. Included by isa_*.cpp only.
#pragma once

#include <math.h>

#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

// e^x for x <= 88. x = n ln2 + r with |r| <= ln2/2; e^r by its Taylor polynomial of degree 7 (truncation < 6e-9),
// rounding adds about 2 ulp: relative error < 3e-7. Below -87.33 (the smallest normal float) the result is exactly 0.
inline V exp_lanes(V x) {
  const V tiny = splat(-87.33f);
  const V shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const V xc = x > tiny ? x : tiny;
  const V t = fma(xc, splat(1.44269504088896341f), shifter);
  const V n = t - shifter;
  V r = fma(n, splat(-0.693145751953125f), xc);  // the high part has 9 trailing zero bits: n * it is exact
  r = fma(n, splat(-1.42860682030941723212e-6f), r);
  V p = splat(1.0f / 5040.0f);
  p = fma(p, r, splat(1.0f / 720.0f));
  p = fma(p, r, splat(1.0f / 120.0f));
  p = fma(p, r, splat(1.0f / 24.0f));
  p = fma(p, r, splat(1.0f / 6.0f));
  p = fma(p, r, splat(0.5f));
  p = fma(p * r, r, r) + splat(1.0f);
  const I scale = (as_int(t) - as_int(shifter) + splat_int(127)) << 23;
  return select(x > tiny, p * as_float(scale), V{});
}

// ln x for normal x > 0. x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <
// 0.172, by the series to s^9 (truncation < 1e-9 relative).
inline V log_lanes(V x) {
  const I bits = as_int(x) - splat_int(0x3f3504f3);  // sqrt(1/2)
  const I e = bits >> 23;
  const V m = as_float(as_int(x) - (e << 23));
  const V f = m - splat(1.0f);
  const V s = f / (m + splat(1.0f));
  const V s2 = s * s;
  V p = splat(2.0f / 9.0f);
  p = fma(p, s2, splat(2.0f / 7.0f));
  p = fma(p, s2, splat(2.0f / 5.0f));
  p = fma(p, s2, splat(2.0f / 3.0f));
  // ln m = 2 s + s^3 (...), and 2 s = f - s f exactly enough: the small terms are added to f last.
  const V tail = fma(p * s2, s, -(s * f));
  const V ef = __builtin_convertvector(e, V);
  const V low = fma(ef, splat(-2.12194440e-4f), tail);
  return fma(ef, splat(0.693359375f), f + low);
}

// z + bias, with -inf in the lanes beyond the row.
inline V logits_at(const float* z, const float* bias, int64_t j, int64_t c) {
  const V x = load(z + j) + load(bias + j);
  return j + kLanes <= c ? x : select(first_lanes(c - j), x, splat(-__builtin_inff()));
}

inline float max_logit(const float* z, const float* bias, int64_t c) {
  V m = splat(-__builtin_inff());
  for (int64_t j = 0; j < c; j += kLanes) m = maximum(logits_at(z, bias, j, c), m);
  return max_lanes(m);
}

// p = exp(z + bias - max), returns its sum.
inline float exponentials(const float* z, const float* bias, float max, int64_t c, float* p) {
  V sum = V{};
  const V shift = splat(max);
  for (int64_t j = 0; j < c; j += kLanes) {
    const V e = exp_lanes(logits_at(z, bias, j, c) - shift);
    sum += e;
    store_first(p + j, e, c - j);
  }
  return sum_lanes(sum);
}

float softmax_row(const float* z, const float* bias, int64_t c, float* p) {
  const float max = max_logit(z, bias, c);
  if (max == -__builtin_inff()) {
    for (int64_t j = 0; j < c; ++j) p[j] = 0.0f;
    return 0.0f;
  }
  const float sum = exponentials(z, bias, max, c, p);
  const float inverse = 1.0f / sum;
  for (int64_t j = 0; j < c; ++j) p[j] *= inverse;
  return sum;
}

double cross_entropy_row(float* z, const float* bias, int64_t c, int64_t label, float scale) {
  const float max = max_logit(z, bias, c);
  const double margin = static_cast<double>(max) - static_cast<double>(z[label] + bias[label]);
  const float sum = exponentials(z, bias, max, c, z);
  const float inverse = 1.0f / sum;
  const float factor = inverse * scale;
  const float at_label = (z[label] * inverse - 1.0f) * scale;
  for (int64_t j = 0; j < c; ++j) z[j] *= factor;
  z[label] = at_label;
  return margin + ::log(static_cast<double>(sum));
}

float entropy_row(const float* p, int64_t c) {
  V sum = V{};
  const V smallest = splat(1.17549435e-38f);
  for (int64_t j = 0; j < c; j += kLanes) {
    const V x = load(p + j);
    I use = x >= smallest;
    if (j + kLanes > c) use = use & first_lanes(c - j);
    const V safe = select(use, x, splat(1.0f));
    sum = fma(-safe, log_lanes(safe), sum);
  }
  return sum_lanes(sum);
}

template <V (*F)(V)>
inline void map_array(const float* x, int64_t n, float* y) {
  for (int64_t j = 0; j < n; j += kLanes) {
    float t[kLanes] = {};
    for (int64_t l = 0; l < kLanes && j + l < n; ++l) t[l] = x[j + l];
    store_first(y + j, F(load(t)), n - j);
  }
}

void exp_array(const float* x, int64_t n, float* y) { map_array<exp_lanes>(x, n, y); }
void log_array(const float* x, int64_t n, float* y) { map_array<log_lanes>(x, n, y); }

}  // namespace
}  // namespace tracer::cpu
