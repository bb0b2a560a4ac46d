// What a command used: its time so far, and the memory of its process.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>

namespace tracer {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of this process, up to now.
inline int64_t peak_memory_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace tracer
