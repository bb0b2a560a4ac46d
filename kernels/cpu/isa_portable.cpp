// The inner loops for portable; the flags come from kernels/CMakeLists.txt.
#define TRACER_SIMD_PORTABLE
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_table.h"

namespace tracer::cpu {

const IsaKernels* portable_kernels() {
  static constexpr IsaKernels kTable = isa_table("portable", nullptr);
  return &kTable;
}

}  // namespace tracer::cpu
