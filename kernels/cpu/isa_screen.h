// The inner loops of neighbour screening: products of 8-bit integers (vpdpbusd: four products and their sum a lane) and
// the float32 scores of single candidates. Included by the isa_*.cpp of instruction sets that have them, after
// isa_gemm.h.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

namespace tracer::cpu {
namespace {

typedef int32_t IUnaligned __attribute__((vector_size(64), aligned(4), may_alias));
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
    q += 4 * kScreenQueries;
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
  if (rows > 4) return screen_rows<kScreenQueries>(groups, q, r, residual, slope, threshold, bound, above);
  if (rows > 1) return screen_rows<4>(groups, q, r, residual, slope, threshold, bound, above);
  return screen_rows<1>(groups, q, r, residual, slope, threshold, bound, above);
}

void screen_maxima(int64_t groups, const int8_t* q, const uint8_t* r, const float* residual, const float* slope,
                   const float* offset, float step, float* most) {
  I acc[kScreenQueries][kScreenVectors];
  screen_products(groups, q, r, acc);
#pragma GCC unroll 16
  for (int i = 0; i < kScreenQueries; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kScreenVectors; ++v) {
      const V b = fma(splat(slope[i]), load(residual + 16 * v), __builtin_convertvector(acc[i][v], V));
      float* p = most + i * kScreenReferences + 16 * v;
      store(p, maximum((b - splat(offset[i])) * splat(step), load(p)));
    }
  }
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

// The sum of the lanes of each.
inline void sums_of_four(const I (&acc)[4], int32_t* sum) {
  typedef int32_t I4 __attribute__((vector_size(16)));
  I4 x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const I half =
        acc[i] + __builtin_shufflevector(acc[i], acc[i], 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    x[i] = __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
  }
  const I4 a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5) + __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
  const I4 b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5) + __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  const I4 total = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
  __builtin_memcpy(sum, &total, sizeof total);
}

void dot_bytes(int64_t bytes, const int8_t* const* q, const uint8_t* const* r, int32_t* product) {
  const int8_t *q0 = q[0], *q1 = q[1], *q2 = q[2], *q3 = q[3];
  const uint8_t *r0 = r[0], *r1 = r[1], *r2 = r[2], *r3 = r[3];
  const auto at = [](const auto* p) { return *reinterpret_cast<const IUnaligned*>(p); };
  I acc[4] = {};
  for (int64_t k = 0; k < bytes; k += 64) {
    multiply_bytes(acc[0], at(r0 + k), at(q0 + k));
    multiply_bytes(acc[1], at(r1 + k), at(q1 + k));
    multiply_bytes(acc[2], at(r2 + k), at(q2 + k));
    multiply_bytes(acc[3], at(r3 + k), at(q3 + k));
  }
  sums_of_four(acc, product);
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

// Written with the compiler's shuffles: g++ 12 warns about its own unpack intrinsics.
inline V low(V a, V b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
inline V high(V a, V b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
inline V low_pairs(V a, V b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
inline V high_pairs(V a, V b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
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
    u[i] = low(t[i], t[i + 1]);
    u[i + 1] = high(t[i], t[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    t[i + 0] = low_pairs(u[i], u[i + 2]);
    t[i + 1] = high_pairs(u[i], u[i + 2]);
    t[i + 2] = low_pairs(u[i + 1], u[i + 3]);
    t[i + 3] = high_pairs(u[i + 1], u[i + 3]);
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

void chain_scores(const float* q, const float* const* rows, int64_t d, float* score) {
  V total = {};
  for (int64_t k0 = 0; k0 < d; k0 += kKBlock) {
    const int64_t end = d - k0 < kKBlock ? d : k0 + kKBlock;
    V acc = {};
    for (int64_t k = k0; k < end; k += 16) {
      const int64_t width = end - k < 16 ? end - k : 16;
      const __mmask16 mask = static_cast<__mmask16>((1u << width) - 1);
      V t[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) t[i] = _mm512_maskz_loadu_ps(mask, rows[i] + k);
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

constexpr ScreenKernels kScreenKernels = {screen_tile, screen_maxima, screen_thresholds, quantise,
                                          dot_bytes,   dot,           chain_scores};

}  // namespace
}  // namespace tracer::cpu
