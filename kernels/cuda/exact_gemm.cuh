// The matrix product with the bytes of the CPU's: each element is one chain of fma's in ascending k that starts from 0,
// and a block of kChain inner indices is then added to what the blocks before it gave (kernels/cpu/isa_gemm.h). Tiles
// decide who computes, never what: a row's result depends neither on its batch nor on the device.
//
// The sum of the blocks of the chain lives in c itself: registers hold one chain.
//
// A block of 256 threads owns a tile of (16 * kMicro)^2 elements; a thread kMicro x kMicro of them in registers.
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
inline constexpr int kGemmDepth = 16;  // inner indices staged at a time; divides kChain
static_assert(kChain % kGemmDepth == 0 && kGemmSide * kGemmSide == kGemmThreads);

// Where the elements of an operand lie: (i, k) at i * outer + k * inner, i the row of op(A) or the column of op(B).
struct Layout {
  int64_t outer;
  int64_t inner;
};

// Copies kGemmDepth inner indices of kTile rows into shared memory, k outermost; 0 beyond the operand's edges.
// Neighbouring threads read neighbouring addresses.
template <int kTile, class T>
TRACER_DEVICE void stage_tile(device::Global<const T> x, const Layout& layout, int64_t first, int64_t rows, int64_t k0,
                              int64_t depth, device::Global<float> tile) {
  const bool along_k = layout.inner == 1;
  for (int e = device::thread_index(); e < kTile * kGemmDepth; e += kGemmThreads) {
    const int k = along_k ? e % kGemmDepth : e / kTile;
    const int i = along_k ? e / kGemmDepth : e % kTile;
    const bool inside = first + i < rows && k0 + k < depth;
    tile[k * kTile + i] = inside ? widen(x[(first + i) * layout.outer + (k0 + k) * layout.inner]) : 0.0f;
  }
}

struct GemmShape {
  int64_t m, n, k;
  Layout a, b;
  int64_t ldc;
  bool accumulate;  // c += instead of c =, chain by chain
};

// ceil(m / tile) * ceil(n / tile) blocks. k >= 1.
template <int kMicro, class T>
TRACER_KERNEL TRACER_MAX_THREADS(kGemmThreads)
    exact_gemm_kernel(GemmShape shape, device::Global<const T> a, device::Global<const T> b, device::Global<float> c) {
  constexpr int kTile = kGemmSide * kMicro;
  TRACER_SHARED(float, a_tile, kGemmDepth* kTile);
  TRACER_SHARED(float, b_tile, kGemmDepth* kTile);
  const int64_t tiles = (shape.n + kTile - 1) / kTile;
  const int64_t row0 = device::block_index() / tiles * kTile;
  const int64_t col0 = device::block_index() % tiles * kTile;
  const int ti = device::thread_index() / kGemmSide * kMicro;
  const int tj = device::thread_index() % kGemmSide * kMicro;

  float chain[kMicro][kMicro];
  TRACER_UNROLL
  for (int i = 0; i < kMicro; ++i) {
    TRACER_UNROLL
    for (int j = 0; j < kMicro; ++j) chain[i][j] = 0.0f;
  }

  for (int64_t k0 = 0; k0 < shape.k; k0 += kGemmDepth) {
    stage_tile<kTile>(a, shape.a, row0, shape.m, k0, shape.k, a_tile);
    stage_tile<kTile>(b, shape.b, col0, shape.n, k0, shape.k, b_tile);
    device::sync_block();
    const int depth = static_cast<int>(shape.k - k0 < kGemmDepth ? shape.k - k0 : kGemmDepth);
    TRACER_NO_UNROLL  // kMicro * kMicro accumulators leave no registers for two steps at once
        for (int k = 0; k < depth; ++k) {
      float av[kMicro], bv[kMicro];
      TRACER_UNROLL
      for (int i = 0; i < kMicro; i += 4) {
        const device::Four<float> a4 = device::load4(a_tile, k * kTile + ti + i);
        const device::Four<float> b4 = device::load4(b_tile, k * kTile + tj + i);
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
    device::sync_block();  // the tiles are written again
    if ((k0 + kGemmDepth) % kChain == 0 || k0 + kGemmDepth >= shape.k) {
      const bool adds = shape.accumulate || k0 >= kChain;
      TRACER_UNROLL
      for (int i = 0; i < kMicro; ++i) {
        TRACER_UNROLL
        for (int j = 0; j < kMicro; ++j) {
          const int64_t row = row0 + ti + i;
          const int64_t col = col0 + tj + j;
          if (row < shape.m && col < shape.n) {
            const int64_t at = row * shape.ldc + col;
            c[at] = adds ? c[at] + chain[i][j] : chain[i][j];
          }
          chain[i][j] = 0.0f;
        }
      }
    }
  }
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
