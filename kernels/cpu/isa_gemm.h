// Packing and the register-tiled inner product. Included by isa_*.cpp only.
//
// Each output element is one chain of fma's in ascending k that starts from 0; a block of kKBlock inner indices is then
// added to the output. Nothing in the chain depends on the position of the element in its tile, so full and partial
// tiles, and batches of any size, give the same bytes.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

// Accumulators fill the registers: 12 x 2 of 32 zmm, 4 x 3 of 16 ymm, 4 x 2 of 16 xmm (a separate product needs one).
#if defined(TRACER_SIMD_AVX512)
constexpr int kMr = 12, kVectors = 2;
#elif defined(TRACER_SIMD_AVX2)
constexpr int kMr = 4, kVectors = 3;
#else
constexpr int kMr = 4, kVectors = 2;
#endif
constexpr int kNr = kVectors * kLanes;
static_assert(kMr <= kMaxMr && kNr <= kMaxNr);

template <int Rows, int Vectors>
inline void multiply_tile(int64_t kc, const float* __restrict__ a, const float* __restrict__ b, float* c, int64_t ldc,
                          bool accumulate) {
  V acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      acc[i][v] = V{};
      __builtin_prefetch(c + i * ldc + v * kLanes, 1);  // the tile is long enough for the output to arrive
    }
  }
  for (int64_t k = 0; k < kc; ++k) {
    V bv[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) bv[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const V av = splat(a[i]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = fma(av, bv[v], acc[i][v]);
    }
    a += kMr;
    b += kNr;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      float* p = c + i * ldc + v * kLanes;
      store(p, accumulate ? load(p) + acc[i][v] : acc[i][v]);
    }
  }
}

// The smallest compiled tile that covers rows x lanes; it writes whole vectors.
template <int Vectors>
inline void multiply_rows(int64_t rows, int64_t kc, const float* a, const float* b, float* c, int64_t ldc,
                          bool accumulate) {
  if (rows > 4) {
    multiply_tile<kMr, Vectors>(kc, a, b, c, ldc, accumulate);
  } else if (rows > 1) {
    multiply_tile<4, Vectors>(kc, a, b, c, ldc, accumulate);
  } else {
    multiply_tile<1, Vectors>(kc, a, b, c, ldc, accumulate);
  }
}

inline void multiply_any(int64_t rows, int64_t lanes, int64_t kc, const float* a, const float* b, float* c, int64_t ldc,
                         bool accumulate) {
  if (lanes <= kLanes) {
    multiply_rows<1>(rows, kc, a, b, c, ldc, accumulate);
  } else {
    multiply_rows<kVectors>(rows, kc, a, b, c, ldc, accumulate);
  }
}

void gemm_block(int64_t rows, int64_t cols, int64_t kc, const float* a, const float* b, float* c, int64_t ldc,
                bool accumulate) {
  alignas(64) float tile[kMr * kNr];
  for (int64_t j = 0; j < cols; j += kNr, b += kc * kNr) {
    const int64_t lanes = cols - j < kNr ? cols - j : kNr;
    const float* ap = a;
    for (int64_t i = 0; i < rows; i += kMr, ap += kc * kMr) {
      const int64_t height = rows - i < kMr ? rows - i : kMr;
      float* out = c + i * ldc + j;
      if (lanes == kNr && height == kMr) {
        multiply_tile<kMr, kVectors>(kc, ap, b, out, ldc, accumulate);
        continue;
      }
      multiply_any(height, lanes, kc, ap, b, tile, kNr, false);
      for (int64_t r = 0; r < height; ++r) {
        for (int64_t l = 0; l < lanes; ++l) {
          out[r * ldc + l] = accumulate ? out[r * ldc + l] + tile[r * kNr + l] : tile[r * kNr + l];
        }
      }
    }
  }
}

void score_tile(int64_t rows, int64_t lanes, int64_t d, const float* a, const float* b, const float* threshold,
                float* tile, uint32_t* above) {
  for (int64_t k = 0; k < d; k += kKBlock) {
    const int64_t kc = d - k < kKBlock ? d - k : kKBlock;
    multiply_any(rows, lanes, kc, a + k * kMr, b + k * kNr, tile, kNr, k > 0);
  }
  const int vectors = lanes <= kLanes ? 1 : kVectors;
  for (int64_t i = 0; i < rows; ++i) {
    uint32_t bits = 0;
    for (int v = 0; v < vectors; ++v) {
      bits |= mask_greater(load(tile + i * kNr + v * kLanes), load(threshold + v * kLanes)) << (v * kLanes);
    }
    above[i] = bits;
  }
}

#if defined(TRACER_SIMD_AVX512)
// pack_interleaved for whole groups of 16 rows, 4 inner indices at a time: each register takes 4 values of each of 4
// rows straight from memory, so that a 4 x 4 transpose inside its quarters is all there is to shuffle.
inline __m512 quarters(const float* src, int64_t stride) {
  __m512 v = _mm512_maskz_broadcast_f32x4(0x000f, _mm_loadu_ps(src));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(src + 4 * stride));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(src + 8 * stride));
  return _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(src + 12 * stride));
}

// Within each quarter of a and b: a0 b0 a1 b1; a2 b2 a3 b3; a0 a1 b0 b1; a2 a3 b2 b3.
inline V zip_low(V a, V b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
inline V zip_high(V a, V b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
inline V join_low(V a, V b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
inline V join_high(V a, V b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

template <int Width>
void pack_sixteens(const float* src, int64_t stride, int64_t kc, float* out) {
  for (int64_t i = 0; i < Width; i += 16) {
    const float* s = src + i * stride;
    float* o = out + i;
    int64_t k = 0;
    for (; k + 4 <= kc; k += 4, s += 4, o += 4 * Width) {
      const V r0 = quarters(s, stride), r1 = quarters(s + stride, stride);
      const V r2 = quarters(s + 2 * stride, stride), r3 = quarters(s + 3 * stride, stride);
      const V lo01 = zip_low(r0, r1), hi01 = zip_high(r0, r1), lo23 = zip_low(r2, r3), hi23 = zip_high(r2, r3);
      store(o, join_low(lo01, lo23));
      store(o + Width, join_high(lo01, lo23));
      store(o + 2 * Width, join_low(hi01, hi23));
      store(o + 3 * Width, join_high(hi01, hi23));
    }
    for (; k < kc; ++k, ++s, o += Width) {
      for (int64_t l = 0; l < 16; ++l) o[l] = s[l * stride];
    }
  }
}
#endif

// out[k * Width + i] = src[i * stride + k], by 4 x 4 transposes.
template <int Width>
void pack_interleaved(const float* src, int64_t stride, int64_t count, int64_t kc, float* out) {
  for (int64_t first = 0; first < count; first += Width, out += kc * Width, src += Width * stride) {
#if defined(TRACER_SIMD_AVX512)
    if constexpr (Width % 16 == 0) {
      if (count - first >= Width) {
        pack_sixteens<Width>(src, stride, kc, out);
        continue;
      }
    }
#endif
    for (int64_t i = 0; i < Width; i += 4) {
      const int64_t here = count - first - i;
      float* o = out + i;
      int64_t k = 0;
      if (here >= 4) {
        const float* s0 = src + i * stride;
        const float *s1 = s0 + stride, *s2 = s1 + stride, *s3 = s2 + stride;
        for (; k + 4 <= kc; k += 4) {
          const F4 r0 = *reinterpret_cast<const F4Unaligned*>(s0 + k);
          const F4 r1 = *reinterpret_cast<const F4Unaligned*>(s1 + k);
          const F4 r2 = *reinterpret_cast<const F4Unaligned*>(s2 + k);
          const F4 r3 = *reinterpret_cast<const F4Unaligned*>(s3 + k);
          const F4 lo01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
          const F4 hi01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
          const F4 lo23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
          const F4 hi23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
          *reinterpret_cast<F4Unaligned*>(o + (k + 0) * Width) = __builtin_shufflevector(lo01, lo23, 0, 1, 4, 5);
          *reinterpret_cast<F4Unaligned*>(o + (k + 1) * Width) = __builtin_shufflevector(lo01, lo23, 2, 3, 6, 7);
          *reinterpret_cast<F4Unaligned*>(o + (k + 2) * Width) = __builtin_shufflevector(hi01, hi23, 0, 1, 4, 5);
          *reinterpret_cast<F4Unaligned*>(o + (k + 3) * Width) = __builtin_shufflevector(hi01, hi23, 2, 3, 6, 7);
        }
      }
      for (; k < kc; ++k) {
        for (int64_t l = 0; l < 4; ++l) o[k * Width + l] = l < here ? src[(i + l) * stride + k] : 0.0f;
      }
    }
  }
}

// out[k * Width + i] = src[k * stride + i].
template <int Width>
void pack_rows(const float* src, int64_t stride, int64_t count, int64_t kc, float* out) {
  for (int64_t first = 0; first < count; first += Width, out += kc * Width) {
    const int64_t here = count - first;
    if (here >= Width) {
      for (int64_t k = 0; k < kc; ++k) {
        __builtin_memcpy(out + k * Width, src + k * stride + first, Width * sizeof(float));
      }
    } else {
      for (int64_t k = 0; k < kc; ++k) {
        for (int64_t l = 0; l < Width; ++l) out[k * Width + l] = l < here ? src[k * stride + first + l] : 0.0f;
      }
    }
  }
}

void pack_a(bool interleaved, const float* a, int64_t stride, int64_t count, int64_t kc, float* out) {
  interleaved ? pack_interleaved<kMr>(a, stride, count, kc, out) : pack_rows<kMr>(a, stride, count, kc, out);
}

void pack_b(bool interleaved, const float* b, int64_t stride, int64_t count, int64_t kc, float* out) {
  interleaved ? pack_interleaved<kNr>(b, stride, count, kc, out) : pack_rows<kNr>(b, stride, count, kc, out);
}

void add_bias(float* c, int64_t ldc, int64_t rows, int64_t cols, const float* bias) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) c[i * ldc + j] += bias[j];
  }
}

}  // namespace
}  // namespace tracer::cpu
