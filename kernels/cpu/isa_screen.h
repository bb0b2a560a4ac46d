// The inner loops of neighbour screening: products of 8-bit integers (vpdpbusd: four products and their sum a lane).
// Included by the isa_*.cpp of instruction sets that have them, after isa_gemm.h.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_candidates.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

typedef int32_t IUnaligned __attribute__((vector_size(64), aligned(4), may_alias));
constexpr int kQueries = 12;  // of a tile: its sums stay in the registers
constexpr int kScreenVectors = kScreenReferences / 16;

// acc += four products of an unsigned with a signed byte, in each lane. As assembly: around the intrinsic g++ 12 copies
// every accumulator once more.
inline void multiply_bytes(I& acc, I raised, I signed_four) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(raised), "v"(signed_four));
}

// The integer products of Rows queries with a panel.
template <int Rows>
inline void screen_products(int64_t groups, const int8_t* __restrict__ q, const uint8_t* __restrict__ r,
                            I (&acc)[Rows][kScreenVectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kScreenVectors; ++v) acc[i][v] = I{};
  }
  for (int64_t g = 0; g < groups; ++g) {
    I rv[kScreenVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kScreenVectors; ++v) rv[v] = *reinterpret_cast<const IUnaligned*>(r + 64 * v);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      int32_t four;
      __builtin_memcpy(&four, q + 4 * i, 4);
      const I qv = splat_int(four);
#pragma GCC unroll 4
      for (int v = 0; v < kScreenVectors; ++v) multiply_bytes(acc[i][v], rv[v], qv);
    }
    q += 4 * kQueries;
    r += 4 * kScreenReferences;
  }
}

template <int Rows>
inline uint32_t screen_rows(int64_t groups, const int8_t* q, const uint8_t* r, const float* residual,
                            const float* slope, const float* threshold, float* bound, uint32_t* above) {
  I acc[Rows][kScreenVectors];
  screen_products(groups, q, r, acc);
  uint32_t any = 0;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    uint32_t bits = 0;
#pragma GCC unroll 4
    for (int v = 0; v < kScreenVectors; ++v) {
      const V b = fma(splat(slope[i]), load(residual + 16 * v), __builtin_convertvector(acc[i][v], V));
      store(bound + i * kScreenReferences + 16 * v, b);
      bits |= static_cast<uint32_t>(_mm512_cmp_ps_mask(b, _mm512_set1_ps(threshold[i]), _CMP_NLE_UQ)) << (16 * v);
    }
    above[i] = bits;
    any |= bits;
  }
  return any;
}

uint32_t screen_tile(int64_t rows, int64_t groups, const int8_t* q, const uint8_t* r, const float* residual,
                     const float* slope, const float* threshold, float* bound, uint32_t* above) {
  if (rows > 4) return screen_rows<kQueries>(groups, q, r, residual, slope, threshold, bound, above);
  if (rows > 1) return screen_rows<4>(groups, q, r, residual, slope, threshold, bound, above);
  return screen_rows<1>(groups, q, r, residual, slope, threshold, bound, above);
}

void screen_thresholds(int64_t count, const ScreenQueries& q, const ScreenPanel& panel, float* threshold) {
  const float scale = panel.inverse_step, norm = panel.norm, error = panel.error;
  for (int64_t j = 0; j < count; ++j) {
    const float margin = q.error[j] * norm + q.norm[j] * error;
    const float units = (q.base[j] - margin) * (q.inverse_step[j] * scale);
    const float size = (__builtin_fabsf(q.base[j]) + margin) * (q.inverse_step[j] * scale);
    threshold[j] = units - size * kScreenSlack + q.offset[j];
  }
}

[[gnu::always_inline]] inline uint32_t sharp_row(const I (&acc)[kScreenVectors], const SharpQueries& queries, int i,
                                                 const SharpPanel& r, float* bound) {
  uint32_t bits = 0;
#pragma GCC unroll 4
  for (int v = 0; v < kScreenVectors; ++v) {
    const V product = __builtin_convertvector(acc[v] - splat_int(queries.sum[i]), V);
    V b = product * (load(r.step + 16 * v) * splat(queries.step[i]));
    b = fma(splat(queries.error[i]), load(r.norm + 16 * v), b);
    b = fma(splat(queries.length[i]), load(r.error + 16 * v), b);
    store(bound + i * kScreenReferences + 16 * v, b);
    const V most = b + splat(queries.margin[i]);
    bits |= static_cast<uint32_t>(_mm512_cmp_ps_mask(most, splat(queries.base[i]), _CMP_GE_OQ)) << (16 * v);
  }
  return bits;
}

// The same for Rows queries of a tile; Chains sums of each at once, so that one does not wait for the other.
template <int Rows, int Chains>
inline void sharpen_few(const int* lane, int64_t groups, const int8_t* q, const SharpQueries& queries,
                        const SharpPanel& r, float* bound, uint32_t* above) {
  const int8_t* query[Rows];
  for (int n = 0; n < Rows; ++n) query[n] = q + 4 * lane[n];
  I acc[Chains][Rows][kScreenVectors];
#pragma GCC unroll 4
  for (int c = 0; c < Chains; ++c) {
#pragma GCC unroll 4
    for (int n = 0; n < Rows; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < kScreenVectors; ++v) acc[c][n][v] = I{};
    }
  }
  const auto step = [&](int64_t g, I(&sum)[Rows][kScreenVectors]) {
    I rv[kScreenVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kScreenVectors; ++v) {
      rv[v] = *reinterpret_cast<const IUnaligned*>(r.bytes + g * 4 * kScreenReferences + 64 * v);
    }
#pragma GCC unroll 4
    for (int n = 0; n < Rows; ++n) {
      int32_t four;
      __builtin_memcpy(&four, query[n] + g * 4 * kQueries, 4);
      const I qv = splat_int(four);
#pragma GCC unroll 4
      for (int v = 0; v < kScreenVectors; ++v) multiply_bytes(sum[n][v], rv[v], qv);
    }
  };
  int64_t g = 0;
  for (; g + Chains <= groups; g += Chains) {
#pragma GCC unroll 4
    for (int c = 0; c < Chains; ++c) step(g + c, acc[c]);
  }
  for (; g < groups; ++g) step(g, acc[0]);
#pragma GCC unroll 4
  for (int n = 0; n < Rows; ++n) {
#pragma GCC unroll 4
    for (int c = 1; c < Chains; ++c) {
#pragma GCC unroll 4
      for (int v = 0; v < kScreenVectors; ++v) acc[0][n][v] += acc[c][n][v];
    }
    above[lane[n]] = sharp_row(acc[0][n], queries, lane[n], r, bound);
  }
}

void sharpen(uint32_t rows, int64_t groups, const int8_t* q, const SharpQueries& queries, const SharpPanel& r,
             float* bound, uint32_t* above) {
  constexpr int kFew = 4;
  int lane[kFew], n = 0;
  for (uint32_t left = rows; left != 0 && n <= kFew; left &= left - 1, ++n) {
    if (n < kFew) lane[n] = __builtin_ctz(left);
  }
  if (n == 1) return sharpen_few<1, 4>(lane, groups, q, queries, r, bound, above);
  if (n == 2) return sharpen_few<2, 2>(lane, groups, q, queries, r, bound, above);
  if (n == 3) return sharpen_few<3, 1>(lane, groups, q, queries, r, bound, above);
  if (n == 4) return sharpen_few<4, 1>(lane, groups, q, queries, r, bound, above);
  I acc[kQueries][kScreenVectors];
  screen_products(groups, q, r.bytes, acc);
#pragma GCC unroll 16
  for (int i = 0; i < kQueries; ++i) above[i] = sharp_row(acc[i], queries, i, r, bound);
}

QuantisedSums quantise(const float* y, int64_t n, float step, int8_t* out) {
  typedef int8_t Bytes __attribute__((vector_size(kLanes)));
  const V inverse = splat(1 / step), back = splat(step), round = splat(0x1.8p23f);
  const V top = splat(127.0f);
  V error = {}, size = {};
  I squares = {}, sum = {};
  for (int64_t k = 0; k < n; k += kLanes) {
    const int64_t here = n - k < kLanes ? n - k : kLanes;
    const V v = here == kLanes ? load(y + k) : _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << here) - 1), y + k);
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const V scaled = maximum(-top, -maximum(-top, -(v * inverse)));
    const V whole = scaled + round - round;
    const V e = v - whole * back;
    error += e * e;
    size += v * v;
    const I integers = __builtin_convertvector(whole, I);
    squares += integers * integers;
    sum += integers;
    const Bytes bytes = __builtin_convertvector(integers, Bytes);
    __builtin_memcpy(out + k, &bytes, static_cast<size_t>(here));
  }
  QuantisedSums s = {sum_lanes(error), sum_lanes(size), 0, 0};
  for (int l = 0; l < kLanes; ++l) {
    s.squares += squares[l];
    s.sum += sum[l];
  }
  return s;
}

// In a fixed order of its own: kDotChains chains of fma's, then a tree.
float dot(const float* a, const float* b, int64_t d) {
  V acc[4] = {};
  int64_t k = 0;
  for (; k + 64 <= d; k += 64) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      acc[v] = fma(load(a + k + 16 * v), load(b + k + 16 * v), acc[v]);
    }
  }
  for (int v = 0; k < d; k += 16, ++v) {
    const __mmask16 mask = static_cast<__mmask16>(d - k >= 16 ? 0xffff : (1u << (d - k)) - 1);
    acc[v] = fma(_mm512_maskz_loadu_ps(mask, a + k), _mm512_maskz_loadu_ps(mask, b + k), acc[v]);
  }
  return sum_lanes((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

constexpr ScreenKernels kScreenKernels = {.queries = kQueries,
                                          .side_by_side = 4,
                                          .enter = nullptr,
                                          .leave = nullptr,
                                          .tile = screen_tile,
                                          .thresholds = screen_thresholds,
                                          .quantise = quantise,
                                          .sharpen = sharpen,
                                          .sharpen_block = nullptr,
                                          .append = append,
                                          .dot = dot,
                                          .chain_scores = chain_scores,
                                          .choose = choose,
                                          .insert = insert};

}  // namespace
}  // namespace tracer::cpu
