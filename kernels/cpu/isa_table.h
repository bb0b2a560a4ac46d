// IsaKernels for the instruction set of the including file. Included by isa_*.cpp only.
#pragma once

#include "kernels/cpu/isa_gelu.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_head.h"
#include "kernels/cpu/isa_softmax.h"
#include "kernels/cpu/isa_sparse.h"

namespace tracer::cpu {
namespace {

constexpr IsaKernels isa_table(const char* name, const ScreenKernels* screen) {
  return {.name = name,
          .mr = kMr,
          .nr = kNr,
          .pack_a = pack_a,
          .pack_b = pack_b,
          .gemm_block = gemm_block,
          .score_tile = score_tile,
          .softmax_row = softmax_row,
          .cross_entropy_row = cross_entropy_row,
          .entropy_row = entropy_row,
          .add_bias = add_bias,
          .exp_array = exp_array,
          .log_array = log_array,
          .gelu = gelu,
          .gelu_slope = gelu_slope,
          .head = &kHeadKernels,
          .weighted_rows = weighted_rows,
          .screen = screen};
}

}  // namespace
}  // namespace tracer::cpu
