#include "kernels/large_memory.h"

#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tracer {
namespace {

constexpr int64_t kHugePageBytes = int64_t{2} << 20;

std::align_val_t alignment(int64_t bytes) {
  return std::align_val_t{static_cast<size_t>(bytes >= kHugePageBytes ? kHugePageBytes : 64)};
}

}  // namespace

void* allocate_large(int64_t bytes) {
  void* p = ::operator new[](static_cast<size_t>(bytes), alignment(bytes));
#if defined(__linux__)
  // A refusal is harmless.
  if (bytes >= kHugePageBytes) (void)madvise(p, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return p;
}

void release_large(void* data, int64_t bytes) noexcept { ::operator delete[](data, alignment(bytes)); }

}  // namespace tracer
