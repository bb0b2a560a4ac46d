// The inner loops for portable; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_PORTABLE
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_gelu.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_head.h"
#include "kernels/cpu/isa_softmax.h"
#include "kernels/cpu/isa_sparse.h"

namespace tracer::cpu {

const IsaKernels* portable_kernels() {
  static constexpr HeadKernels kHead = head_kernels(nullptr, nullptr);
  static constexpr IsaKernels kTable = {
      "portable",  kMr,      kNr,       pack_a,    pack_b, gemm_block, score_tile, softmax_row,   cross_entropy_row,
      entropy_row, add_bias, exp_array, log_array, gelu,   gelu_slope, &kHead,     weighted_rows, nullptr};
  return &kTable;
}

}  // namespace tracer::cpu
