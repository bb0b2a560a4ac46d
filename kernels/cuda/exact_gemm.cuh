// The matrix product with the bytes of the CPU's: each element is one chain of fma's in ascending k that starts from 0,
// and a block of kChain inner indices is then added to what the blocks before it gave (kernels/cpu/isa_gemm.h). Tiles
// decide who computes, never what: a row's result depends neither on its batch nor on the device.
//
// The sum of the blocks of the chain lives in c itself: registers hold one chain.
//
// A block of 256 threads owns a tile of (16 * kMicro)^2 elements; a thread kMicro x kMicro of them in registers, in
// groups of four rows and four columns that lie 64 apart, so that the eight threads of one shared-memory transaction
// read neighbouring vectors. While one stage of both operands is multiplied the next is on its way: from memory to four
// registers a thread and operand, then to the other half of shared memory, with one barrier a stage.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/storage.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

inline constexpr int64_t kChain = 384;  // kKBlock of kernels/cpu/isa.h
inline constexpr int kGemmThreads = 256;
inline constexpr int kGemmSide = 16;   // threads along one edge of the tile
inline constexpr int kGemmGroup = 64;  // rows or columns from one group of four of a thread to its next
static_assert(kGemmSide * kGemmSide == kGemmThreads && kGemmGroup == 4 * kGemmSide);

// Of a tile kTile elements wide: each thread carries four elements of each operand a stage.
template <int kTile>
struct GemmStage {
  static constexpr int kDepth = 4 * kGemmThreads / kTile;  // inner indices
  static constexpr int kStride = kTile + 4;  // of an inner index in shared memory: transposed stores meet no bank twice
  static_assert(kChain % kDepth == 0);
};

// Where the elements of an operand lie: (i, k) at i * outer + k * inner, i the row of op(A) or the column of op(B). One
// of the two is 1; vectors: the other is a multiple of 4, and so is the operand's offset in its array.
struct Layout {
  int64_t outer;
  int64_t inner;
  bool vectors;
};

// A thread's place in a stage: (i, k) and the three elements after it, along k where that is how they lie.
template <int kTile>
TRACER_DEVICE int place_i(const Layout& layout) {
  const int t = device::thread_index();
  return layout.inner == 1 ? t / (GemmStage<kTile>::kDepth / 4) : t % (kTile / 4) * 4;
}
template <int kTile>
TRACER_DEVICE int place_k(const Layout& layout) {
  const int t = device::thread_index();
  return layout.inner == 1 ? t % (GemmStage<kTile>::kDepth / 4) * 4 : t / (kTile / 4);
}

// What a thread fetches of an operand, stage after stage.
struct Fetch {
  int64_t at;  // of its first element in the next stage
  int k;       // that element's inner index
  int beside;  // how many of its four lie inside where they lie along i; along k: 4, or 0 beyond the last row
};

template <int kTile>
TRACER_DEVICE Fetch first_fetch(const Layout& layout, int64_t first, int64_t rows) {
  const int64_t i = first + place_i<kTile>(layout);
  const int k = place_k<kTile>(layout);
  const int64_t left = i >= rows ? 0 : layout.inner == 1 || rows - i > 4 ? 4 : rows - i;
  return {i * layout.outer + k * layout.inner, k, static_cast<int>(left)};
}

// The thread's four elements of the next stage; 0 beyond the operand's edges.
template <int kTile, class T>
TRACER_DEVICE device::Four<float> fetch_four(device::Global<const T> x, const Layout& layout, int depth, Fetch& next) {
  int left = layout.inner == 1 && depth - next.k < next.beside ? depth - next.k : next.beside;
  if (next.k >= depth) left = 0;
  device::Four<float> four;
  if (layout.vectors && left >= 4) {
    const device::Four<T> v = device::load4(x, next.at);
    TRACER_UNROLL
    for (int e = 0; e < 4; ++e) four.v[e] = widen(v.v[e]);
  } else {
    TRACER_UNROLL
    for (int e = 0; e < 4; ++e) four.v[e] = e < left ? widen(x[next.at + e]) : 0.0f;
  }
  next.at += GemmStage<kTile>::kDepth * layout.inner;
  next.k += GemmStage<kTile>::kDepth;
  return four;
}

// tile: k outermost.
template <int kTile>
TRACER_DEVICE void store_four(const device::Four<float>& four, const Layout& layout, device::Global<float> tile) {
  constexpr int kStride = GemmStage<kTile>::kStride;
  const int at = place_k<kTile>(layout) * kStride + place_i<kTile>(layout);
  if (layout.inner != 1) return device::store4(tile, at, four);
  TRACER_UNROLL
  for (int e = 0; e < 4; ++e) tile[at + e * kStride] = four.v[e];
}

template <int kMicro>
TRACER_DEVICE void multiply_step(device::Global<const float> a, device::Global<const float> b, int ti, int tj,
                                 float (&chain)[kMicro][kMicro]) {
  float av[kMicro], bv[kMicro];
  TRACER_UNROLL
  for (int i = 0; i < kMicro; i += 4) {
    const device::Four<float> a4 = device::load4(a, ti + i / 4 * kGemmGroup);
    const device::Four<float> b4 = device::load4(b, tj + i / 4 * kGemmGroup);
    TRACER_UNROLL
    for (int e = 0; e < 4; ++e) {
      av[i + e] = a4.v[e];
      bv[i + e] = b4.v[e];
    }
  }
  TRACER_UNROLL
  for (int i = 0; i < kMicro; ++i) {
    TRACER_UNROLL
    for (int j = 0; j < kMicro; ++j) chain[i][j] = fmaf(av[i], bv[j], chain[i][j]);
  }
}

struct GemmShape {
  int64_t m, n, k;
  Layout a, b;
  int64_t ldc;
  bool accumulate;  // c += instead of c =, chain by chain
};

// The thread's elements of c = or += its chains, which start anew.
template <int kMicro>
TRACER_DEVICE void end_chain(const GemmShape& shape, int64_t row0, int64_t col0, bool adds,
                             float (&chain)[kMicro][kMicro], device::Global<float> c) {
  TRACER_UNROLL
  for (int i = 0; i < kMicro; ++i) {
    const int64_t row = row0 + i / 4 * kGemmGroup + i % 4;
    TRACER_UNROLL
    for (int j = 0; j < kMicro; j += 4) {
      const int64_t col = col0 + j / 4 * kGemmGroup;
      const int64_t at = row * shape.ldc + col;
      if (row < shape.m && col + 4 <= shape.n && shape.ldc % 4 == 0) {
        device::Four<float> four = {{chain[i][j], chain[i][j + 1], chain[i][j + 2], chain[i][j + 3]}};
        if (adds) {
          const device::Four<float> old = device::load4(device::Global<const float>(c), at);
          TRACER_UNROLL
          for (int e = 0; e < 4; ++e) four.v[e] = old.v[e] + four.v[e];
        }
        device::store4(c, at, four);
      } else {
        TRACER_UNROLL
        for (int e = 0; e < 4; ++e) {
          if (row < shape.m && col + e < shape.n) c[at + e] = adds ? c[at + e] + chain[i][j + e] : chain[i][j + e];
        }
      }
      TRACER_UNROLL
      for (int e = 0; e < 4; ++e) chain[i][j + e] = 0.0f;
    }
  }
}

// ceil(m / tile) * ceil(n / tile) blocks. 1 <= k < 2^31; c is aligned to vectors of four.
template <int kMicro, class T>
TRACER_KERNEL TRACER_RESIDENT(kGemmThreads, 2)
    exact_gemm_kernel(GemmShape shape, device::Global<const T> a, device::Global<const T> b, device::Global<float> c) {
  constexpr int kTile = kGemmSide * kMicro;
  constexpr int kDepth = GemmStage<kTile>::kDepth, kStride = GemmStage<kTile>::kStride;
  TRACER_SHARED(float, a_stages, 2 * kDepth * kStride);
  TRACER_SHARED(float, b_stages, 2 * kDepth * kStride);
  const int64_t tiles = (shape.n + kTile - 1) / kTile;
  const int64_t row0 = device::block_index() / tiles * kTile;
  const int64_t col0 = device::block_index() % tiles * kTile;
  const int ti = device::thread_index() / kGemmSide * 4;
  const int tj = device::thread_index() % kGemmSide * 4;

  float chain[kMicro][kMicro];
  TRACER_UNROLL
  for (int i = 0; i < kMicro; ++i) {
    TRACER_UNROLL
    for (int j = 0; j < kMicro; ++j) chain[i][j] = 0.0f;
  }

  const int inner = static_cast<int>(shape.k);
  Fetch a_fetch = first_fetch<kTile>(shape.a, row0, shape.m), b_fetch = first_fetch<kTile>(shape.b, col0, shape.n);
  store_four<kTile>(fetch_four<kTile, T>(a, shape.a, inner, a_fetch), shape.a, a_stages + 0);
  store_four<kTile>(fetch_four<kTile, T>(b, shape.b, inner, b_fetch), shape.b, b_stages + 0);
  device::sync_block();
  int half = 0;  // where the present stage lies
  for (int chain0 = 0; chain0 < inner; chain0 += static_cast<int>(kChain)) {
    const int chain_end = inner - chain0 < kChain ? inner : chain0 + static_cast<int>(kChain);
    TRACER_NO_UNROLL
    for (int k0 = chain0; k0 < chain_end; k0 += kDepth) {
      const bool more = k0 + kDepth < inner;
      device::Four<float> a_next, b_next;
      if (more) {
        a_next = fetch_four<kTile, T>(a, shape.a, inner, a_fetch);
        b_next = fetch_four<kTile, T>(b, shape.b, inner, b_fetch);
      }
      const device::Global<const float> a_stage = a_stages + half * kDepth * kStride;
      const device::Global<const float> b_stage = b_stages + half * kDepth * kStride;
      if (k0 + kDepth <= inner) {
        TRACER_NO_UNROLL  // two steps at once do not fit in the registers of two blocks
            for (int k = 0; k < kDepth; ++k) {
          multiply_step<kMicro>(a_stage + k * kStride, b_stage + k * kStride, ti, tj, chain);
        }
      } else {  // not beyond k: adding 0 * 0 makes -0 into +0
        TRACER_NO_UNROLL
        for (int k = 0; k < inner - k0; ++k) {
          multiply_step<kMicro>(a_stage + k * kStride, b_stage + k * kStride, ti, tj, chain);
        }
      }
      half = 1 - half;
      if (more) {
        store_four<kTile>(a_next, shape.a, a_stages + half * kDepth * kStride);
        store_four<kTile>(b_next, shape.b, b_stages + half * kDepth * kStride);
      }
      device::sync_block();  // the next stage is there, and nobody reads this one any more
    }
    end_chain<kMicro>(shape, row0 + ti, col0 + tj, shape.accumulate || chain0 > 0, chain, c);
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
