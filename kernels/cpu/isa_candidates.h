// What a search does with the candidates of one query: choosing the most promising, their scores in float32, keeping
// the best. Included by isa_screen.h.
#pragma once

#include <bit>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

inline __mmask16 leading_lanes(int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1); }

inline int32_t bits_of(__mmask16 mask) { return std::popcount(static_cast<uint32_t>(mask)); }

int32_t append(uint32_t above, const float* bound, int32_t first, int32_t count, float* to_bound, int32_t* to_index) {
  const I lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int v = 0; v < kScreenReferences / 16; ++v) {
    const __mmask16 here = static_cast<__mmask16>(above >> (16 * v));
    const I index = lanes + splat_int(first + 16 * v);
    store(to_bound + count, _mm512_maskz_compress_ps(here, load(bound + 16 * v)));
    *reinterpret_cast<__m512i_u*>(to_index + count) =
        _mm512_maskz_compress_epi32(here, reinterpret_cast<const __m512i&>(index));
    count += bits_of(here);
  }
  return count;
}

inline int32_t reaching(float pivot, int32_t n, const float* bound) {
  int32_t count = 0;
  for (int32_t i = 0; i < n; i += 16) {
    count += bits_of(_mm512_mask_cmp_ps_mask(leading_lanes(n - i), load(bound + i), splat(pivot), _CMP_GE_OQ));
  }
  return count;
}

int32_t choose(float margin, float base, int32_t want, int32_t* count, float* bound, int32_t* index) {
  typedef __m512i_u Integers;
  int32_t n = 0;
  V lows = splat(0x1.fp127f), highs = -lows;
  for (int32_t i = 0; i < *count; i += 16) {
    const V b = load(bound + i);
    const __m512i at = *reinterpret_cast<const Integers*>(index + i);
    const __mmask16 here =
        _mm512_mask_cmp_ps_mask(leading_lanes(*count - i), b + splat(margin), splat(base), _CMP_GE_OQ);
    // What is written beyond n has been read, or lies in the room behind the last entry.
    store(bound + n, _mm512_maskz_compress_ps(here, b));
    *reinterpret_cast<Integers*>(index + n) = _mm512_maskz_compress_epi32(here, at);
    lows = _mm512_mask_min_ps(lows, here, lows, b);
    highs = _mm512_mask_max_ps(highs, here, highs, b);
    n += bits_of(here);
  }
  *count = n;
  if (n <= want) return n;
  // A pivot that nearly `want` of them reach, by bisection: cheaper than a selection, and exactness does not hang on
  // it.
  float low = lows[0], high = highs[0];
  for (int l = 1; l < kLanes; ++l) {
    low = lows[l] < low ? lows[l] : low;
    high = highs[l] > high ? highs[l] : high;
  }
  float pivot = low;
  for (int round = 0; round < 12; ++round) {
    pivot = low + 0.5f * (high - low);
    const int32_t reached = reaching(pivot, n, bound);
    if (reached > want) {
      low = pivot;
    } else if (reached < want - want / 8) {
      high = pivot;
    } else {
      break;
    }
  }
  float taken_bound[kMostCandidates + 16];
  int32_t taken_index[kMostCandidates + 16], kept = 0, taken = 0;
  for (int32_t i = 0; i < n; i += 16) {
    const V b = load(bound + i);
    const __m512i at = *reinterpret_cast<const Integers*>(index + i);
    const __mmask16 all = leading_lanes(n - i), here = _mm512_mask_cmp_ps_mask(all, b, splat(pivot), _CMP_GE_OQ);
    const __mmask16 others = static_cast<__mmask16>(all & ~here);
    store(taken_bound + taken, _mm512_maskz_compress_ps(here, b));
    *reinterpret_cast<Integers*>(taken_index + taken) = _mm512_maskz_compress_epi32(here, at);
    taken += bits_of(here);
    store(bound + kept, _mm512_maskz_compress_ps(others, b));
    *reinterpret_cast<Integers*>(index + kept) = _mm512_maskz_compress_epi32(others, at);
    kept += bits_of(others);
  }
  for (int32_t i = 0; i < taken; i += 16) {
    store(bound + kept + i, load(taken_bound + i));
    *reinterpret_cast<Integers*>(index + kept + i) = *reinterpret_cast<const Integers*>(taken_index + i);
  }
  return taken == 0 || taken > want ? want : taken;
}

void insert(float f, int32_t reference, int32_t n, float* similarity, int32_t* index) {
  int32_t at = 0;
  for (int32_t i = 0; i < n - 1; i += 16) {
    const __mmask16 valid = leading_lanes(n - 1 - i);
    const V s = _mm512_maskz_loadu_ps(valid, similarity + i);
    const __mmask16 equal = _mm512_mask_cmp_ps_mask(valid, s, splat(f), _CMP_EQ_OQ);
    const __mmask16 lower = _mm512_mask_cmp_epi32_mask(equal, _mm512_maskz_loadu_epi32(equal, index + i),
                                                       _mm512_set1_epi32(reference), _MM_CMPINT_LT);
    at += bits_of(_mm512_mask_cmp_ps_mask(valid, s, splat(f), _CMP_GT_OQ) | lower);
  }
  // From behind, so that what moves has been read before it is written over.
  for (int32_t i = (n - 1) / 16 * 16; i >= 0 && i + 15 > at; i -= 16) {
    __mmask16 moved = leading_lanes(n - i);
    if (at >= i) moved = static_cast<__mmask16>(moved & ~leading_lanes(at + 1 - i));
    const V s = _mm512_maskz_loadu_ps(moved, similarity + i - 1);
    const __m512i x = _mm512_maskz_loadu_epi32(moved, index + i - 1);
    _mm512_mask_storeu_ps(similarity + i, moved, s);
    _mm512_mask_storeu_epi32(index + i, moved, x);
  }
  similarity[at] = f;
  index[at] = reference;
}

// Written with the compiler's shuffles: g++ 12 warns about its own unpack intrinsics.
inline V even_quads(V a, V b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
inline V odd_quads(V a, V b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// t becomes its transpose.
inline void transpose(V (&t)[16]) {
  V u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    u[i] = zip_low(t[i], t[i + 1]);
    u[i + 1] = zip_high(t[i], t[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    t[i + 0] = join_low(u[i], u[i + 2]);
    t[i + 1] = join_high(u[i], u[i + 2]);
    t[i + 2] = join_low(u[i + 1], u[i + 3]);
    t[i + 3] = join_high(u[i + 1], u[i + 3]);
  }
  // The l-th four lanes of t[4 b + i] hold column 4 l + i of rows 4 b to 4 b + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const V even0 = even_quads(t[i], t[4 + i]), odd0 = odd_quads(t[i], t[4 + i]);
    const V even1 = even_quads(t[8 + i], t[12 + i]), odd1 = odd_quads(t[8 + i], t[12 + i]);
    u[i] = even_quads(even0, even1);
    u[4 + i] = even_quads(odd0, odd1);
    u[8 + i] = odd_quads(even0, even1);
    u[12 + i] = odd_quads(odd0, odd1);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) t[i] = u[i];
}

// One chain of fma's in each lane, a row in each. 16 rows at a time: 32 streams at once take twice as long for each.
void chain_scores(const float* q, const float* const* rows, int64_t d, float* score) {
  V total = {};
  for (int64_t k0 = 0; k0 < d; k0 += kKBlock) {
    const int64_t end = d - k0 < kKBlock ? d : k0 + kKBlock;
    V acc = {};
    for (int64_t k = k0; k < end; k += 16) {
      const int64_t width = end - k < 16 ? end - k : 16;
      V t[16];
      if (width == 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) t[i] = load(rows[i] + k);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) t[i] = _mm512_maskz_loadu_ps(leading_lanes(width), rows[i] + k);
      }
      transpose(t);
      if (width == 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) acc = fma(t[i], splat(q[k + i]), acc);
      } else {
        for (int64_t i = 0; i < width; ++i) acc = fma(t[i], splat(q[k + i]), acc);
      }
    }
    total = k0 == 0 ? acc : total + acc;
  }
  store(score, total);
}

}  // namespace
}  // namespace tracer::cpu
