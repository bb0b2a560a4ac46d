// A log that trees learn and linear maps do not.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/matrix.h"
#include "tests/engine/logs.h"

namespace tracer::testing {

struct BandLog {
  Matrix<float> x;  // unit rows, d 32
  std::vector<int32_t> label;
};

// Two labels: does the first of 32 coordinates lie in the middle half of its values? 3 % of the
// labels are the other one.
inline BandLog band_log(int64_t n, uint64_t seed) {
  constexpr int64_t kDim = 32;
  Draws draws(seed);
  BandLog out{Matrix<float>(n, kDim), {}};
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> row(kDim);
    double length = 0;
    for (double& v : row) v = draws.normal(), length += v * v;
    for (int64_t j = 0; j < kDim; ++j)
      out.x(i, j) = static_cast<float>(row[static_cast<size_t>(j)] / std::sqrt(length));
    const bool inside = std::abs(row[0]) < 0.6745;
    out.label.push_back(static_cast<int32_t>(inside != (draws.uniform() < 0.03)));
  }
  return out;
}

}  // namespace tracer::testing
