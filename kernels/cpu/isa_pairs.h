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

}  // namespace
}  // namespace tracer::cpu
