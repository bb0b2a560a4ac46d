// Sixteen numbers at a time, for the files of this module that are compiled for AVX-512. Everything has internal
// linkage: the linker must not keep one file's copy for another, which may be compiled for less.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tracer {
namespace {

constexpr int64_t kLanes = 16;
using V = __m512;

// GCC 12 takes the undefined lanes inside the unmasked intrinsics for a mistake of ours (GCC bug 105593): all lanes are
// asked for by a mask instead, which costs nothing.
constexpr __mmask16 kAll = 0xffff;
inline V larger(V a, V b) { return _mm512_maskz_max_ps(kAll, a, b); }
inline V smaller(V a, V b) { return _mm512_maskz_min_ps(kAll, a, b); }
inline V plus(V a, V b) { return _mm512_add_ps(a, b); }

inline V splat(float v) { return _mm512_set1_ps(v); }
inline V load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, V v) { _mm512_storeu_ps(p, v); }

// Rounded to the nearest bfloat16.
inline void store_bfloat16(uint16_t* p, V v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}

// All lanes of v by F, in one.
template <V (*F)(V, V)>
inline float across(V v) {
  v = F(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0x4e));
  v = F(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0xb1));
  v = F(v, _mm512_maskz_permute_ps(kAll, v, 0x4e));
  return _mm512_cvtss_f32(F(v, _mm512_maskz_permute_ps(kAll, v, 0xb1)));
}

// Relative error below 3e-7: the power of two apart, a polynomial on [-ln 2 / 2, ln 2 / 2].
inline V exponential(V x) {
  x = larger(x, splat(-87));
  const V n = _mm512_maskz_roundscale_ps(kAll, _mm512_mul_ps(x, splat(1.44269504089f)), _MM_FROUND_TO_NEAREST_INT);
  V r = _mm512_fnmadd_ps(n, splat(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, splat(-2.12194440e-4f), r);
  V p = splat(1.0f / 720);
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, splat(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, splat(0.5f));
  p = _mm512_fmadd_ps(p, r, splat(1));
  p = _mm512_fmadd_ps(p, r, splat(1));
  return _mm512_maskz_scalef_ps(kAll, p, n);
}

// t[c]: column c of 16 rows of 16 numbers, one row in each lane. Loads that broadcast under a mask put the quarters of
// a vector in place, so that half of a transpose is left to shuffle.
inline void load_columns(const float* rows, int64_t stride, V (&t)[16]) {
  for (int c = 0; c < 16; c += 4) {
    V r[4];
    for (int b = 0; b < 4; ++b) {
      const float* p = rows + b * stride + c;
      r[b] = _mm512_maskz_broadcast_f32x4(0x000f, _mm_loadu_ps(p));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0x00f0, _mm_loadu_ps(p + 4 * stride));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0x0f00, _mm_loadu_ps(p + 8 * stride));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0xf000, _mm_loadu_ps(p + 12 * stride));
    }
    const V low0 = _mm512_maskz_unpacklo_ps(kAll, r[0], r[1]), high0 = _mm512_maskz_unpackhi_ps(kAll, r[0], r[1]);
    const V low1 = _mm512_maskz_unpacklo_ps(kAll, r[2], r[3]), high1 = _mm512_maskz_unpackhi_ps(kAll, r[2], r[3]);
    t[c] = _mm512_maskz_shuffle_ps(kAll, low0, low1, 0x44);
    t[c + 1] = _mm512_maskz_shuffle_ps(kAll, low0, low1, 0xee);
    t[c + 2] = _mm512_maskz_shuffle_ps(kAll, high0, high1, 0x44);
    t[c + 3] = _mm512_maskz_shuffle_ps(kAll, high0, high1, 0xee);
  }
}

}  // namespace
}  // namespace tracer
