// Memory of matrices and panels: on huge pages where it is large and the system has them. Rows that are read all over
// it would each pay a walk through the page tables (two-dimensional in a virtual machine), and a fresh one is taken in
// steps of 2 MiB instead of 4 KiB.
#pragma once

#include <cstdint>

namespace tracer {

// `bytes` of unspecified contents, aligned to 64 at least; throws std::bad_alloc. Any thread may call.
void* allocate_large(int64_t bytes);

// bytes: as allocated. data may be null.
void release_large(void* data, int64_t bytes) noexcept;

}  // namespace tracer
