// The vector type of the instruction set that the including file is compiled for, and the few operations on it that
// GCC's vector extensions do not spell. Included by isa_*.cpp only, each of which defines one TRACER_SIMD_* macro.
// Nothing here may come from std:: (an inline std function compiled with AVX flags could be the copy that the linker
// keeps for everyone); everything is in an anonymous namespace for the same reason.
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tracer::cpu {
namespace {

#if defined(TRACER_SIMD_AVX512)
constexpr int kLanes = 16;
#elif defined(TRACER_SIMD_AVX2)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float V __attribute__((vector_size(4 * kLanes)));
typedef int32_t I __attribute__((vector_size(4 * kLanes)));
typedef float VUnaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef float F4 __attribute__((vector_size(16)));
typedef float F4Unaligned __attribute__((vector_size(16), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const VUnaligned*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<VUnaligned*>(p) = v; }

// Contraction is off in these files: a fused multiply-add happens where fma() is written and nowhere else.
#if defined(TRACER_SIMD_AVX512)
inline V splat(float x) { return _mm512_set1_ps(x); }
inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
inline uint32_t mask_greater(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
#elif defined(TRACER_SIMD_AVX2)
inline V splat(float x) { return _mm256_set1_ps(x); }
inline V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
inline uint32_t mask_greater(V a, V b) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}
#else
inline V splat(float x) { return V{x, x, x, x}; }
inline V fma(V a, V b, V c) { return a * b + c; }
inline uint32_t mask_greater(V a, V b) {
  const I m = a > b;
  return static_cast<uint32_t>((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}
#endif

inline I splat_int(int32_t x) { return I{} + x; }
inline V select(I mask, V a, V b) { return mask ? a : b; }
inline V maximum(V a, V b) { return a > b ? a : b; }
inline V as_float(I x) { return reinterpret_cast<V>(x); }
inline I as_int(V x) { return reinterpret_cast<I>(x); }

// All ones in the first n lanes.
inline I first_lanes(int64_t n) {
  alignas(64) static constexpr int32_t kIndex[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  I lane;
  __builtin_memcpy(&lane, kIndex, sizeof(lane));
  return lane < splat_int(static_cast<int32_t>(n > kLanes ? kLanes : n));
}

inline void store_first(float* p, V v, int64_t n) {
  if (n >= kLanes) {
    store(p, v);
    return;
  }
  alignas(64) float t[kLanes];
  store(t, v);
  for (int64_t i = 0; i < n; ++i) p[i] = t[i];
}

// A fixed tree.
inline float sum_lanes(V v) {
  float t[kLanes];
  store(t, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) t[i] += t[i + half];
  }
  return t[0];
}

inline float max_lanes(V v) {
  float t[kLanes];
  store(t, v);
  float m = t[0];
  for (int i = 1; i < kLanes; ++i) m = t[i] > m ? t[i] : m;
  return m;
}

}  // namespace
}  // namespace tracer::cpu
