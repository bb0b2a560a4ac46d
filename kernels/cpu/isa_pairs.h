// Products of bfloat16 by VDPBF16PS. Included by isa_*.cpp only, after isa_head.h, where the flags allow it.
#pragma once

#include "kernels/cpu/isa_head.h"

namespace tracer::cpu {
namespace {

inline __m512bh as_pairs(V x) { return reinterpret_cast<__m512bh>(x); }

// One chain for each class and row, in ascending pairs, that starts from the bias.
template <int Rows, int Vectors>
struct PairsTile {
  static void run(int64_t d, const float* w, const float* x, const float* bias, float* z, uintptr_t ahead,
                  int64_t fetch) {
    V acc[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = splat(bias[i]);
    }
    tile_steps<2>(d, w, x, acc, ahead, fetch,
                  [](V a, V b, V c) -> V { return _mm512_dpbf16_ps(c, as_pairs(a), as_pairs(b)); });
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) store(z + i * kNr + v * kLanes, acc[i][v]);
    }
  }
};

void head_logits_pairs(int64_t classes, int64_t vectors, int64_t d, const float* w, const float* x, const float* bias,
                       float* z, ReadAhead ahead) {
  over_tiles<PairsTile, 2>(classes, vectors, d, w, x, bias, z, ahead);
}

void head_narrow(const float* x, int64_t count, uint16_t* out) {
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 in = count - j >= kLanes ? 0xffff : static_cast<__mmask16>((1u << (count - j)) - 1);
    const __m256bh y = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x + j));
    alignas(32) uint16_t t[kLanes];
    __builtin_memcpy(t, &y, sizeof(t));
    if (count - j >= kLanes) {
      __builtin_memcpy(out + j, t, sizeof(t));
    } else {
      for (int64_t l = 0; l < count - j; ++l) out[j + l] = t[l];
    }
  }
}

}  // namespace
}  // namespace tracer::cpu
