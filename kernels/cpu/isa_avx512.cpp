// The inner loops for avx512; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX512
#include "kernels/cpu/isa.h"

#if defined(__AVX512F__)
#include "kernels/cpu/isa_table.h"

namespace tracer::cpu {

const IsaKernels* avx512_kernels() {
  static constexpr IsaKernels kTable = isa_table("avx512", nullptr);
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx512_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
