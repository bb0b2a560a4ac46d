// The two storage types in device code; the bits are those of kernels/bfloat16.h.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

TRACER_DEVICE float widen(float x) { return x; }
TRACER_DEVICE float widen(BFloat16 x) { return device::float_of_bits(static_cast<uint32_t>(x.bits) << 16); }

// Rounds to nearest, ties to even; a NaN stays a NaN.
TRACER_DEVICE BFloat16 round_to_bfloat16(float x) {
  const uint32_t bits = device::float_bits(x);
  BFloat16 out;
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    out.bits = static_cast<uint16_t>(bits >> 16 | 0x40u);
  } else {
    out.bits = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  return out;
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
