// Rounding to bfloat16. Included by the isa_*.cpp of instruction sets that have it, after isa_head.h.
#pragma once

#include "kernels/cpu/isa_head.h"

namespace tracer::cpu {
namespace {

void head_narrow(const float* x, int64_t count, uint16_t* out) {
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 in = count - j >= kLanes ? 0xffff : static_cast<__mmask16>((1u << (count - j)) - 1);
    const __m256bh y = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x + j));
    alignas(32) uint16_t t[kLanes];
    __builtin_memcpy(t, &y, sizeof(t));
    if (count - j >= kLanes) {
      __builtin_memcpy(out + j, t, sizeof(t));
    } else {
      for (int64_t l = 0; l < count - j; ++l) out[j + l] = t[l];
    }
  }
}

}  // namespace
}  // namespace tracer::cpu
