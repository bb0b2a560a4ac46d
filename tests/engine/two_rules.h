// Logs that one surrogate cannot learn: what the family rsb is for.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/matrix.h"
#include "tests/engine/logs.h"

namespace tracer::testing {

struct TwoRules {
  Matrix<float> x;  // unit rows, d 160
  std::vector<int32_t> label;
  std::vector<uint8_t> second;  // of the second rule
};

// Six labels. Half of the rows stand at their label's own coordinate; the others say, through 150 coordinates of
// noise that hide their neighbours, by the least of the same six coordinates which label is theirs, so that no linear
// rule serves both kinds, and 5 % of those have a label by chance.
inline TwoRules two_rules(int64_t n, uint64_t seed) {
  constexpr int64_t kLabels = 6, kDim = 160;
  Draws draws(seed);
  TwoRules out{Matrix<float>(n, kDim), {}, {}};
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> row(kDim);
    const bool second = draws.uniform() < 0.5;
    int32_t label = 0;
    if (second) {
      for (int64_t j = 0; j < kDim; ++j) row[static_cast<size_t>(j)] = draws.normal();
      row[kDim - 1] = 2;
      for (int32_t c = 1; c < kLabels; ++c)
        if (row[static_cast<size_t>(c)] < row[static_cast<size_t>(label)]) label = c;
      for (int32_t c = 0; c < kLabels; ++c) row[static_cast<size_t>(c)] *= 2;
      if (draws.uniform() < 0.05) label = static_cast<int32_t>(draws.below(kLabels));
    } else {
      label = static_cast<int32_t>(draws.below(kLabels));
      for (int64_t j = 0; j < kDim; ++j) row[static_cast<size_t>(j)] = 0.6 * draws.normal();
      row[static_cast<size_t>(label)] += 8;
      row[kDim - 1] = -2;
    }
    double length = 0;
    for (double v : row) length += v * v;
    for (int64_t j = 0; j < kDim; ++j)
      out.x(i, j) = static_cast<float>(row[static_cast<size_t>(j)] / std::sqrt(length));
    out.label.push_back(label);
    out.second.push_back(second);
  }
  return out;
}

}  // namespace tracer::testing
