// Two clocks: one that only goes on, for waits, and the time of day, for the record.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace tracer::io {

inline int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A clock for waits: steady_ms, or a test's own.
using ClockMs = std::function<int64_t()>;

// Since 1970.
inline double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace tracer::io
