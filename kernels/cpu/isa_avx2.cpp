// The inner loops for avx2; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX2
#include "kernels/cpu/isa.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "kernels/cpu/isa_table.h"

namespace tracer::cpu {

const IsaKernels* avx2_kernels() {
  static constexpr IsaKernels kTable = isa_table("avx2", nullptr);
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx2_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
