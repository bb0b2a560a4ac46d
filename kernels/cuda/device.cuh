// The words that kernels are written in. Here they mean CUDA; tests/simt/device.h, included first, gives the same words
// a meaning on the CPU that watches every access, so that one source is both run and examined. The two meanings live
// in different inline namespaces (TRACER_DEVICE_BUILD), so that one program may hold both.
#pragma once

#ifndef TRACER_SIMT

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "kernels/bfloat16.h"

#define TRACER_DEVICE_BUILD compiled
#define TRACER_KERNEL __global__ void
#define TRACER_DEVICE __device__ __forceinline__
// What the block's size is at most: the compiler may then use that share of the registers.
#define TRACER_MAX_THREADS(count) __launch_bounds__(count, 1)
// And of how many blocks a multiprocessor holds at once.
#define TRACER_RESIDENT(count, blocks) __launch_bounds__(count, blocks)
#define TRACER_UNROLL _Pragma("unroll")
#define TRACER_NO_UNROLL _Pragma("unroll 1")
// A block's shared array of count elements, not initialised, aligned for vectors of four.
#define TRACER_SHARED(type, name, count) __shared__ __align__(16) type name[count]
// The block's dynamic shared memory as an array of as many elements as the launch paid for; once a kernel.
#define TRACER_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char tracer_dynamic_shared[]; \
  const ::tracer::device::Global<type> name = reinterpret_cast<type*>(tracer_dynamic_shared)

namespace tracer::device {
inline namespace TRACER_DEVICE_BUILD {

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

// Shuffles and votes, of whole warps only: all 32 lanes take part.
template <class T>
TRACER_DEVICE T shuffle(T value, int lane) {
  return __shfl_sync(kFullMask, value, lane);
}
template <class T>
TRACER_DEVICE T shuffle_up(T value, int lanes) {
  return __shfl_up_sync(kFullMask, value, static_cast<unsigned>(lanes));
}
template <class T>
TRACER_DEVICE T shuffle_down(T value, int lanes) {
  return __shfl_down_sync(kFullMask, value, static_cast<unsigned>(lanes));
}
template <class T>
TRACER_DEVICE T shuffle_xor(T value, int lane_mask) {
  return __shfl_xor_sync(kFullMask, value, lane_mask);
}
TRACER_DEVICE uint32_t ballot(bool predicate) { return __ballot_sync(kFullMask, predicate); }
TRACER_DEVICE bool any(bool predicate) { return __any_sync(kFullMask, predicate) != 0; }
TRACER_DEVICE bool all(bool predicate) { return __all_sync(kFullMask, predicate) != 0; }

// Atomics change p[i] and return what was there. Where floats are added the order, hence the sum, is not fixed.
TRACER_DEVICE int32_t atomic_add(Global<int32_t> p, int64_t i, int32_t value) { return atomicAdd(p + i, value); }
TRACER_DEVICE float atomic_add(Global<float> p, int64_t i, float value) { return atomicAdd(p + i, value); }
TRACER_DEVICE int32_t atomic_max(Global<int32_t> p, int64_t i, int32_t value) { return atomicMax(p + i, value); }
TRACER_DEVICE int64_t atomic_max(Global<int64_t> p, int64_t i, int64_t value) {
  return atomicMax(reinterpret_cast<long long*>(p + i), static_cast<long long>(value));
}
// Stores value where expected is found.
TRACER_DEVICE int32_t atomic_cas(Global<int32_t> p, int64_t i, int32_t expected, int32_t value) {
  return atomicCAS(p + i, expected, value);
}

TRACER_DEVICE int popcount(uint32_t bits) { return __popc(bits); }
TRACER_DEVICE int lowest_bit(uint32_t bits) { return __ffs(static_cast<int>(bits)) - 1; }
TRACER_DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
TRACER_DEVICE float float_of_bits(uint32_t bits) { return __uint_as_float(bits); }

// Four consecutive elements from a multiple of four elements on; the array itself is aligned to 16 bytes.
template <class T>
struct Four {
  T v[4];
};
TRACER_DEVICE Four<float> load4(const float* p, int64_t i) {
  const float4 v = *reinterpret_cast<const float4*>(p + i);
  return {{v.x, v.y, v.z, v.w}};
}
TRACER_DEVICE Four<BFloat16> load4(const BFloat16* p, int64_t i) {
  const ushort4 v = *reinterpret_cast<const ushort4*>(p + i);
  return {{BFloat16{v.x}, BFloat16{v.y}, BFloat16{v.z}, BFloat16{v.w}}};
}
TRACER_DEVICE void store4(float* p, int64_t i, const Four<float>& v) {
  *reinterpret_cast<float4*>(p + i) = make_float4(v.v[0], v.v[1], v.v[2], v.v[3]);
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::device

#endif  // TRACER_SIMT
