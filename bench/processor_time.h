// The processor time that this process has used so far, in seconds.
#pragma once

#include <ctime>

namespace tracer::bench {

inline double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace tracer::bench
