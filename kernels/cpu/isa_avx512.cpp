// The inner loops for avx512; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX512
#include "kernels/cpu/isa.h"

#if defined(__AVX512F__)
#include "kernels/cpu/isa_gelu.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_head.h"
#include "kernels/cpu/isa_softmax.h"
#include "kernels/cpu/isa_sparse.h"

namespace tracer::cpu {

const IsaKernels* avx512_kernels() {
  static constexpr HeadKernels kHead = head_kernels(nullptr, nullptr);
  static constexpr IsaKernels kTable = {
      "avx512",    kMr,      kNr,       pack_a,    pack_b, gemm_block, score_tile, softmax_row,   cross_entropy_row,
      entropy_row, add_bias, exp_array, log_array, gelu,   gelu_slope, &kHead,     weighted_rows, nullptr};
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx512_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
