// IEEE 754 binary16 to float, without hardware support; written so that a loop of them vectorises.
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

}  // namespace tracer::io
