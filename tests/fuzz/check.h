// What a fuzz target calls when a promise does not hold.
#pragma once

#include <cstdlib>

inline void check(bool good) {
  if (!good) std::abort();
}
