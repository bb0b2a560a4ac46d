// IEEE 754 binary16 to and from float, without hardware support; written so that a loop of them vectorises.
#pragma once

#include <bit>
#include <cstdint>

namespace tracer::io {

// Exact. Does not depend on the processor's treatment of subnormals.
inline float half_to_float(uint16_t h) {
  const uint32_t magnitude = static_cast<uint32_t>(h & 0x7fff) << 13;
  const uint32_t normal = magnitude + ((127u - 15u) << 23);
  // A subnormal m * 2^-24 is (1 + m * 2^-10) * 2^-14 less its leading one.
  const float subnormal = std::bit_cast<float>(magnitude + ((127u - 14u) << 23)) - 0x1p-14f;
  uint32_t bits = magnitude < (1u << 23) ? std::bit_cast<uint32_t>(subnormal) : normal;
  bits = magnitude >= (31u << 23) ? magnitude | 0x7f800000u : bits;
  return std::bit_cast<float>(bits | static_cast<uint32_t>(h & 0x8000) << 16);
}

// To nearest, ties to even; infinity from 65520 up; a NaN stays one.
inline uint16_t float_to_half(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude >= 0x477ff000) {  // 65520
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // 2^-14, the least normal
    const uint32_t rebiased = magnitude - ((127u - 15u) << 23);
    half = (rebiased + 0xfff + ((rebiased >> 13) & 1)) >> 13;
  } else {
    // Adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded by the addition.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  }
  return static_cast<uint16_t>(sign | half);
}

}  // namespace tracer::io
