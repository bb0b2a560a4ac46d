// The entries of a column, or the rows of a matrix, at some rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/matrix.h"

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

// Copies of those rows, one after the other.
template <class Indices>
Matrix<float> pick_rows(HostMatrix<const float> x, const Indices& rows) {
  Matrix<float> out(static_cast<int64_t>(rows.size()), x.cols);
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(x.row(rows[i]), x.cols, out.row(static_cast<int64_t>(i)));
  return out;
}

}  // namespace tracer
