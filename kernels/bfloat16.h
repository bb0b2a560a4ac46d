// bfloat16: the upper half of a float32 (8 bits of exponent, 8 of significand). A storage format: arithmetic is
// float32.
#pragma once

#include <bit>
#include <cstdint>

namespace tracer {

struct BFloat16 {
  uint16_t bits = 0;
  friend bool operator==(BFloat16, BFloat16) = default;  // of bits, not of values
};

// Exact.
constexpr float to_float(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

// Rounds to nearest, ties to even: a relative error of at most 2^-8 above the subnormals. Beyond the largest finite
// bfloat16 it becomes infinity; a NaN stays one, quiet.
constexpr BFloat16 to_bfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

}  // namespace tracer
