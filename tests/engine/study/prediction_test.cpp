#include "engine/study/prediction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/support.h"

namespace tracer {
namespace {

// The oracle: the binomial averaged over Jeffreys' posterior by the midpoint rule in arcsin(sqrt(p)), where the prior
// is flat.
std::vector<double> naive_distribution(int64_t k, int64_t n, int64_t m) {
  constexpr int kSteps = 20000;
  std::vector<double> out(static_cast<size_t>(m + 1), 0.0);
  double all = 0;
  for (int s = 0; s < kSteps; ++s) {
    const double angle = (s + 0.5) / kSteps * 1.57079632679489662, p = std::pow(std::sin(angle), 2);
    const double weight = std::pow(p, static_cast<double>(k)) * std::pow(1 - p, static_cast<double>(n - k));
    all += weight;
    double ways = 1;
    for (int64_t y = 0; y <= m; ++y) {
      out[static_cast<size_t>(y)] +=
          weight * ways * std::pow(p, static_cast<double>(y)) * std::pow(1 - p, static_cast<double>(m - y));
      ways = ways * static_cast<double>(m - y) / static_cast<double>(y + 1);
    }
  }
  for (double& p : out) p /= all;
  return out;
}

TEST(Prediction, EndsAreTheQuantiles) {
  for (int64_t n : {0, 1, 9, 40})
    for (int64_t k : {int64_t{0}, n / 2, n})
      for (int64_t m : {1, 2, 30}) {
        const auto p = naive_distribution(k, n, m);
        const Interval got = prediction_interval(k, n, m);
        double below = 0;
        int64_t low = -1, high = -1;
        for (int64_t y = 0; y <= m; ++y) {
          below += p[static_cast<size_t>(y)];
          if (low < 0 && below > 0.025) low = y;
          if (high < 0 && below >= 0.975) high = y;
        }
        EXPECT_DOUBLE_EQ(got.low, static_cast<double>(low) / static_cast<double>(m)) << k << " of " << n << ", " << m;
        EXPECT_DOUBLE_EQ(got.high, static_cast<double>(high) / static_cast<double>(m)) << k << " of " << n << ", " << m;
      }
}

// Counted: how often the fresh share lies inside, at rates such as regions have.
TEST(Prediction, HoldsTheFreshShareAboutAsOftenAsItSays) {
  testing::Draws draws(3);
  for (const double rate : {0.8, 0.9, 0.95, 0.99}) {
    constexpr int kTrials = 4000;
    int inside = 0;
    for (int t = 0; t < kTrials; ++t) {
      int64_t k = 0, y = 0;
      for (int i = 0; i < 80; ++i) k += draws.uniform() < rate;
      for (int i = 0; i < 100; ++i) y += draws.uniform() < rate;
      const Interval at = prediction_interval(k, 80, 100);
      const double share = static_cast<double>(y) / 100;
      inside += at.low <= share && share <= at.high;
    }
    EXPECT_GE(inside, 0.93 * kTrials) << rate;
  }
}

}  // namespace
}  // namespace tracer
