// The inner loops for avx512_vnni: those of avx512, and screening; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_AVX512
#include "kernels/cpu/isa.h"

#if defined(__AVX512VNNI__)
#include "kernels/cpu/isa_screen.h"
#include "kernels/cpu/isa_table.h"

namespace tracer::cpu {

const IsaKernels* avx512_vnni_kernels() {
  static constexpr IsaKernels kTable = isa_table("avx512_vnni", &kScreenKernels);
  return &kTable;
}

const IsaKernels* avx512_bf16_kernels() {
  static constexpr IsaKernels kTable = isa_table("avx512_bf16", &kScreenKernels);
  return &kTable;
}

}  // namespace tracer::cpu
#else
namespace tracer::cpu {

const IsaKernels* avx512_vnni_kernels() { return nullptr; }
const IsaKernels* avx512_bf16_kernels() { return nullptr; }

}  // namespace tracer::cpu
#endif
