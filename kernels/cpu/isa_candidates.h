// What a search does with the candidates of one query: choosing the most promising, their scores in float32, keeping
// the best. Included by isa_screen.h.
#pragma once

#include <bit>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_gemm.h"
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

// t[c]: column k + c of 16 rows, one in each lane. Loads that broadcast under a mask put the quarters of a vector in
// place; only what is left of the transpose goes through the one port that shuffles.
inline void load_columns(const float* const* rows, int64_t k, V (&t)[16]) {
#pragma GCC unroll 4
  for (int c = 0; c < 16; c += 4) {
    V r[4];
#pragma GCC unroll 4
    for (int b = 0; b < 4; ++b) {
      r[b] = _mm512_maskz_broadcast_f32x4(0x000f, _mm_loadu_ps(rows[b] + k + c));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0x00f0, _mm_loadu_ps(rows[4 + b] + k + c));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0x0f00, _mm_loadu_ps(rows[8 + b] + k + c));
      r[b] = _mm512_mask_broadcast_f32x4(r[b], 0xf000, _mm_loadu_ps(rows[12 + b] + k + c));
    }
    const V low0 = zip_low(r[0], r[1]), high0 = zip_high(r[0], r[1]);
    const V low1 = zip_low(r[2], r[3]), high1 = zip_high(r[2], r[3]);
    t[c] = join_low(low0, low1);
    t[c + 1] = join_high(low0, low1);
    t[c + 2] = join_low(high0, high1);
    t[c + 3] = join_high(high0, high1);
  }
}

// One chain of fma's in each lane, a row in each; Chains of them at once, since each waits for itself.
template <int Chains>
inline void chains(const float* q, const float* const* rows, int64_t d, float* score) {
  V total[Chains] = {};
  for (int64_t k0 = 0; k0 < d; k0 += kKBlock) {
    const int64_t end = d - k0 < kKBlock ? d : k0 + kKBlock;
    V acc[Chains] = {};
    int64_t k = k0;
    for (; k + 16 <= end; k += 16) {
#pragma GCC unroll 2
      for (int c = 0; c < Chains; ++c) {
        V t[16];
        load_columns(rows + 16 * c, k, t);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) acc[c] = fma(t[i], splat(q[k + i]), acc[c]);
      }
    }
    for (; k < end; ++k) {
      for (int c = 0; c < Chains; ++c) {
        V column;
        for (int l = 0; l < 16; ++l) column[l] = rows[16 * c + l][k];
        acc[c] = fma(column, splat(q[k]), acc[c]);
      }
    }
    for (int c = 0; c < Chains; ++c) total[c] = k0 == 0 ? acc[c] : total[c] + acc[c];
  }
  for (int c = 0; c < Chains; ++c) store(score + 16 * c, total[c]);
}

void chain_scores(int64_t count, const float* q, const float* const* rows, int64_t d, float* score) {
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) chains<2>(q, rows + i, d, score + i);
  for (; i < count; i += 16) chains<1>(q, rows + i, d, score + i);
}

}  // namespace
}  // namespace tracer::cpu
