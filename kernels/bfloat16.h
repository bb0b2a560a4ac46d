// bfloat16: the upper half of a float32, for storage only; arithmetic is done in float32.
#pragma once

#include <bit>
#include <cstdint>

namespace tracer {

struct BFloat16 {
  uint16_t bits = 0;
};

// To nearest, ties to even; overflow becomes infinity; a NaN stays a (quiet) NaN.
inline BFloat16 to_bfloat16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

inline float to_float(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

}  // namespace tracer
