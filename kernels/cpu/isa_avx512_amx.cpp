// The inner loops for avx512_amx: those of avx512_bf16, and products of bfloat16 and screening by tiles; the flags come
// from kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX512
#include "kernels/cpu/isa.h"

#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__AVX512VNNI__)
#include "kernels/cpu/isa_gelu.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_head.h"
#include "kernels/cpu/isa_narrow.h"
#include "kernels/cpu/isa_screen.h"
#include "kernels/cpu/isa_softmax.h"
#include "kernels/cpu/isa_sparse.h"
#include "kernels/cpu/isa_tile_pairs.h"
#include "kernels/cpu/isa_tiles.h"

namespace tracer::cpu {

const IsaKernels* avx512_amx_kernels() {
  static constexpr HeadKernels kHead = head_kernels(head_logits_tiles, head_narrow, kTileClasses, kPairsTogether);
  static constexpr IsaKernels kTable = {
      "avx512_amx", kMr,      kNr,       pack_a,    pack_b, gemm_block, score_tile, softmax_row,   cross_entropy_row,
      entropy_row,  add_bias, exp_array, log_array, gelu,   gelu_slope, &kHead,     weighted_rows, &kTileScreenKernels};
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx512_amx_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
