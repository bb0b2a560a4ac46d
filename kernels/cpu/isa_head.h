// HeadKernels for the instruction set of the including file. Included by isa_*.cpp only, after isa_gemm.h and
// isa_softmax.h.
#pragma once

#include "kernels/cpu/head_kernels.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_softmax.h"

namespace tracer::cpu {
namespace {

constexpr int kChains = 4;  // independent sums over classes: one chain would wait for each addition
static_assert(kNr <= kMaxHeadWidth);

// Steps of the inner index for each line that is fetched ahead: often enough for 49 KB of rows to come during the
// product with 77 classes.
constexpr int64_t kFetch = 4;

// acc += w x', one step of the inner index.
template <int Rows, int Vectors>
inline void tile_step(const float* w, const float* x, V (&acc)[Rows][Vectors]) {
  V xv[Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) xv[v] = load(x + v * kLanes);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    const V wv = splat(w[i]);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[i][v] = fma(wv, xv[v], acc[i][v]);
  }
}

template <int Rows, int Vectors>
inline void tile_steps(int64_t steps, const float*& w, const float*& x, V (&acc)[Rows][Vectors], uintptr_t& ahead,
                       int64_t fetch) {
  int64_t k = 0;
  for (; k + kFetch <= steps; k += kFetch) {
    __builtin_prefetch(reinterpret_cast<const void*>(ahead), 0, 2);
    ahead += static_cast<uintptr_t>(fetch);
#pragma GCC unroll 4
    for (int i = 0; i < kFetch; ++i, w += kMr, x += kNr) tile_step(w, x, acc);
  }
  for (; k < steps; ++k, w += kMr, x += kNr) tile_step(w, x, acc);
}

// Rows classes and Vectors vectors of rows.
template <int Rows, int Vectors>
inline void logits_tile(int64_t d, const float* w, const float* x, const float* bias, float* z, uintptr_t ahead,
                        int64_t fetch) {
  for (int64_t k0 = 0; k0 == 0 || k0 < d; k0 += kKBlock) {
    V acc[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = V{};
    }
    tile_steps(d - k0 < kKBlock ? d - k0 : kKBlock, w, x, acc, ahead, fetch);
    const bool last = k0 + kKBlock >= d;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        float* p = z + i * kNr + v * kLanes;
        const V sum = k0 > 0 ? load(p) + acc[i][v] : acc[i][v];
        store(p, last ? sum + splat(bias[i]) : sum);
      }
    }
  }
}

// logits_tile for exactly `rows` classes.
template <int Rows, int Vectors, class... Args>
inline void tile_of(int64_t rows, Args... args) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return tile_of<Rows - 1, Vectors>(rows, args...);
  }
  logits_tile<Rows, Vectors>(args...);
}

// All classes, a tile of kMr at a time. The panels of w follow each other, d steps each.
void head_logits(int64_t classes, int64_t vectors, int64_t d, const float* w, const float* x, const float* bias,
                 float* z, ReadAhead ahead) {
  for (int64_t c = 0; c < classes; c += kMr, w += kMr * d) {
    const int64_t rows = classes - c < kMr ? classes - c : kMr;
    const int64_t step = ahead.lines > 0 ? kLineBytes : 0;
    if (vectors == 1) {
      tile_of<kMr, 1>(rows, d, w, x, bias + c, z + c * kNr, ahead.at, step);
    } else {
      tile_of<kMr, kVectors>(rows, d, w, x, bias + c, z + c * kNr, ahead.at, step);
    }
    ahead.at += static_cast<uintptr_t>(step * (d / kFetch));
    ahead.lines -= d / kFetch;
  }
}

void head_best_two(int64_t classes, int64_t vectors, int32_t first, const float* z, float* best, float* second,
                   int32_t* label) {
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t at = v * kLanes;
    V b = load(best + at), s = load(second + at);
    I l;
    __builtin_memcpy(&l, label + at, sizeof(l));
    I here = splat_int(first);
    for (int64_t c = 0; c < classes; ++c, here += splat_int(1)) {
      const V x = load(z + c * kNr + at);
      const I greater = x > b;
      s = maximum(x > b ? b : x, s);
      l = greater ? here : l;
      b = maximum(x, b);
    }
    store(best + at, b);
    store(second + at, s);
    __builtin_memcpy(label + at, &l, sizeof(l));
  }
}

void head_exponentials(int64_t classes, int64_t vectors, const float* z, const float* best, float* e, float* sum) {
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t at = v * kLanes;
    const V shift = load(best + at);
    V sums[kChains] = {};
    const auto one = [&](int64_t c, int chain) {
      const V y = exp_lanes(load(z + c * kNr + at) - shift);
      store(e + c * kNr + at, y);
      sums[chain] += y;
    };
    int64_t c = 0;
    for (; c + kChains <= classes; c += kChains) {
#pragma GCC unroll 4
      for (int i = 0; i < kChains; ++i) one(c + i, i);
    }
    for (int i = 0; c < classes; ++c, ++i) one(c, i);
    store(sum + at, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

void head_scale(int64_t classes, int64_t vectors, const float* in, const float* scale, float* out) {
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t at = v * kLanes;
    const V s = load(scale + at);
    for (int64_t c = 0; c < classes; ++c) store(out + c * kNr + at, s * load(in + c * kNr + at));
  }
}

void head_entropies(int64_t classes, int64_t vectors, const float* p, float* entropy) {
  const V smallest = splat(1.17549435e-38f);
  for (int64_t v = 0; v < vectors; ++v) {
    const int64_t at = v * kLanes;
    V sums[kChains] = {};
    const auto one = [&](int64_t c, int chain) {
      const V x = load(p + c * kNr + at);
      const V safe = x >= smallest ? x : splat(1.0f);  // a subnormal or 0 adds nothing
      sums[chain] = fma(-safe, log_lanes(safe), sums[chain]);
    };
    int64_t c = 0;
    for (; c + kChains <= classes; c += kChains) {
#pragma GCC unroll 4
      for (int i = 0; i < kChains; ++i) one(c + i, i);
    }
    for (int i = 0; c < classes; ++c, ++i) one(c, i);
    store(entropy + at, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

constexpr HeadKernels kHeadKernels = {.width = kNr,
                                      .lanes = kLanes,
                                      .group = kMr,
                                      .logits = head_logits,
                                      .best_two = head_best_two,
                                      .exponentials = head_exponentials,
                                      .scale = head_scale,
                                      .entropies = head_entropies};

}  // namespace
}  // namespace tracer::cpu
