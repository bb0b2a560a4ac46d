// Whether this process may use the processor's tile unit (AMX).
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tracer {

enum class TileProducts { kInt8, kBfloat16 };

// The processor has tiles with these products, and Linux lets the process use them: it wants to be asked first, since
// they make every thread's saved state 8 KiB larger. What is allowed once stays so.
inline bool tiles_may_be_used(TileProducts products) {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  const unsigned wanted = 1u << 24 | (products == TileProducts::kInt8 ? 1u << 25 : 1u << 22);  // AMX-TILE, and which
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & wanted) != wanted) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  (void)products;
  return false;
#endif
}

}  // namespace tracer
