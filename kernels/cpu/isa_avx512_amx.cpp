// The inner loops for avx512_amx: those of avx512_vnni, with screening by tiles; the flags come from
// kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX512
#include "kernels/cpu/isa.h"

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)
#include "kernels/cpu/isa_screen.h"
#include "kernels/cpu/isa_table.h"
#include "kernels/cpu/isa_tiles.h"

namespace tracer::cpu {

const IsaKernels* avx512_amx_kernels() {
  static constexpr IsaKernels kTable = isa_table("avx512_amx", &kTileScreenKernels);
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx512_amx_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
