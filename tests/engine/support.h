// What the tests of engine/ share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/maths/binomial.h"
#include "kernels/backend.h"
#include "tests/engine/logs.h"

namespace tracer::testing {

// Sanitized builds run the same tests on fewer draws.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int64_t kSlower = 10;
#else
inline constexpr int64_t kSlower = 1;
#endif

inline std::unique_ptr<Backend> cpu(int threads = 1) {
  auto made = make_backend({"cpu", threads, ""});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

struct Clusters {
  Matrix<float> x;  // unit rows
  std::vector<int32_t> label;
};

// Rows around one random centre a class; noise is the length of the disturbance beside a centre of length 1, and wrong
// the share of rows whose label is drawn at random.
inline Clusters clusters(int64_t n, int32_t classes, int64_t d, double noise, double wrong, uint64_t seed) {
  Draws draws(seed);
  Matrix<double> centre(classes, d);
  for (int32_t c = 0; c < classes; ++c) {
    double length = 0;
    for (int64_t j = 0; j < d; ++j) centre(c, j) = draws.normal(), length += centre(c, j) * centre(c, j);
    for (int64_t j = 0; j < d; ++j) centre(c, j) /= std::sqrt(length);
  }
  Clusters out{Matrix<float>(n, d), {}};
  for (int64_t i = 0; i < n; ++i) {
    const auto c = static_cast<int32_t>(draws.below(classes));
    double length = 0;
    std::vector<double> row(d);
    for (int64_t j = 0; j < d; ++j) {
      row[j] = centre(c, j) + noise * draws.normal() / std::sqrt(static_cast<double>(d));
      length += row[j] * row[j];
    }
    for (int64_t j = 0; j < d; ++j) out.x(i, j) = static_cast<float>(row[j] / std::sqrt(length));
    out.label.push_back(draws.uniform() < wrong ? static_cast<int32_t>(draws.below(classes)) : c);
  }
  return out;
}

// Violations of a promise that may fail with probability delta: is there evidence that it fails more often?
// evidence is the level of the test, already divided by the number of cells looked at.
inline bool violates(int64_t failures, int64_t trials, double delta, double evidence) {
  return !(clopper_pearson_lower(failures, trials, evidence) <= delta);
}

}  // namespace tracer::testing
