// The words that kernels are written in. Here they mean CUDA; tests/simt/device.h, included first, gives the same words
// a meaning on the CPU that watches every access, so that one source is both run and examined.
#pragma once

#ifndef TRACER_SIMT

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#define TRACER_KERNEL __global__ void
#define TRACER_DEVICE __device__ __forceinline__
// A block's shared array of count elements, not initialised.
#define TRACER_SHARED(type, name, count) __shared__ type name[count]

namespace tracer::device {

// Device memory as a kernel sees it: indexed, and advanced by +.
template <class T>
using Global = T*;

inline constexpr int kWarp = 32;
inline constexpr unsigned kFullMask = 0xffffffffu;

TRACER_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
TRACER_DEVICE int block_size() { return static_cast<int>(blockDim.x); }
TRACER_DEVICE int64_t block_index() { return blockIdx.x; }
TRACER_DEVICE int64_t grid_size() { return gridDim.x; }

TRACER_DEVICE void sync_block() { __syncthreads(); }
TRACER_DEVICE void sync_warp() { __syncwarp(); }

// Whole warps only: all 32 lanes take part.
template <class T>
TRACER_DEVICE T shuffle_xor(T value, int lane_mask) {
  return __shfl_xor_sync(kFullMask, value, lane_mask);
}
template <class T>
TRACER_DEVICE T shuffle_down(T value, int lanes) {
  return __shfl_down_sync(kFullMask, value, static_cast<unsigned>(lanes));
}

// Adds to p[i] and returns what was there.
template <class T>
TRACER_DEVICE T atomic_add(Global<T> p, int64_t i, T value) {
  return atomicAdd(p + i, value);
}

}  // namespace tracer::device

#endif  // TRACER_SIMT
