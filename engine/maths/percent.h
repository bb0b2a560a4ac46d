// A share in words.
#pragma once

#include <cstdio>
#include <string>

namespace tracer {

// "93.1 %"
inline std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

}  // namespace tracer
