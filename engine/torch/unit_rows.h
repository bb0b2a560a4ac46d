// Pooled vectors as unit rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/matrix.h"

namespace tracer {

// v: out.rows - row rows at most, out.cols wide; writes `rows` of them, each divided by its length, from `row` on.
inline void write_unit_rows(const float* v, int64_t rows, int64_t row, HostMatrix<float> out) {
  for (int64_t i = 0; i < rows; ++i, ++row, v += out.cols) {
    double square = 0;
    for (int64_t d = 0; d < out.cols; ++d) square += static_cast<double>(v[d]) * v[d];
    const double length = std::max(std::sqrt(square), 1e-12);
    for (int64_t d = 0; d < out.cols; ++d) out(row, d) = static_cast<float>(v[d] / length);
  }
}

}  // namespace tracer
