// The entries of a column at some rows.
#pragma once

#include <cstdint>
#include <vector>

namespace tracer {

// Nothing of a column that is absent (empty).
template <class T>
std::vector<T> pick(const std::vector<T>& values, const std::vector<int32_t>& rows) {
  std::vector<T> out;
  if (values.empty()) return out;
  out.reserve(rows.size());
  for (const int32_t r : rows) out.push_back(values[static_cast<size_t>(r)]);
  return out;
}

}  // namespace tracer
