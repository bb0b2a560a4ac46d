#include "engine/prove/audit_bounds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

// The oracle: the integral by the midpoint rule.
double naive_wager(int64_t bad, int64_t n, double rate) {
  constexpr int kSteps = 400000;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double u = rate + (1 - rate) * (i + 0.5) / kSteps;
    sum += std::pow(u / rate, static_cast<double>(bad)) * std::pow((1 - u) / (1 - rate), static_cast<double>(n - bad));
  }
  return sum / kSteps;
}

TEST(AuditBounds, TheWagerIsItsIntegral) {
  for (const auto& [bad, n] : {std::pair<int64_t, int64_t>{0, 0}, {0, 1}, {1, 1}, {0, 50}, {3, 50}, {20, 60}, {60, 60}})
    for (double rate : {0.01, 0.05, 0.3, 0.9}) {
      const double expected = naive_wager(bad, n, rate);
      EXPECT_NEAR(std::exp(log_mixture_wager(bad, n, rate)), expected, 1e-4 * expected + 1e-12)
          << bad << " of " << n << " against " << rate;
    }
}

TEST(AuditBounds, BoundsOnlyTightenAndEndWhereTheWagerReachesOneOverDelta) {
  Draws draws(3);
  AuditBounds bounds(0.9, 0.05);
  double lower = 0, upper = 1;
  for (int i = 0; i < 500; ++i) {
    bounds.add(draws.uniform() < 0.08);
    EXPECT_GE(bounds.lower(), lower);
    EXPECT_LE(bounds.upper(), upper);
    EXPECT_LT(bounds.lower(), bounds.upper());
    if (bounds.upper() < upper) {
      EXPECT_NEAR(log_mixture_wager(bounds.disagreements(), bounds.rows(), 1 - bounds.upper()), -std::log(0.05), 1e-6);
    }
    if (bounds.lower() > lower) {
      EXPECT_NEAR(log_mixture_wager(bounds.rows() - bounds.disagreements(), bounds.rows(), bounds.lower()),
                  -std::log(0.05), 1e-6);
    }
    lower = bounds.lower(), upper = bounds.upper();
  }
  EXPECT_LT(lower, 0.92);
  EXPECT_GT(upper, 0.92);
}

TEST(AuditBoundsStatistics, BoundsAndAlarmFailRarerThanDelta) {
  constexpr double kDelta = 0.10, kAlpha = 0.95;
  for (const double agreement : {0.95, 0.97}) {
    int64_t alarms = 0, below = 0;
    const int64_t trials = 600 / kSlower;
    for (int64_t trial = 0; trial < trials; ++trial) {
      Draws draws(static_cast<uint64_t>(trial) * 7919 + 1);
      AuditBounds bounds(kAlpha, kDelta);
      for (int i = 0; i < 1000; ++i) bounds.add(draws.uniform() >= agreement);
      alarms += bounds.alarm(), below += bounds.lower() > agreement;
    }
    EXPECT_FALSE(testing::violates(alarms, trials, kDelta, 0.0025)) << agreement << ": " << alarms;
    EXPECT_FALSE(testing::violates(below, trials, kDelta, 0.0025)) << agreement << ": " << below;
  }
}

TEST(AuditBoundsStatistics, AnAgreementBelowAlphaIsFound) {
  int64_t found = 0;
  for (uint64_t trial = 0; trial < 100; ++trial) {
    Draws draws(trial + 17);
    AuditBounds bounds(0.95, 0.05);
    for (int i = 0; i < 600; ++i) bounds.add(draws.uniform() < 0.10);
    found += bounds.alarm();
  }
  EXPECT_GE(found, 90);
}

}  // namespace
}  // namespace tracer
