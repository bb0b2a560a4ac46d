#include "engine/maths/binomial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace tracer {
namespace {

// P(Bin(n, p) <= k) in long double, from ratios of neighbouring terms around the mode: no factorial, no gamma function.
long double oracle(int64_t k, int64_t n, double p) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  const long double odds = static_cast<long double>(p) / (1 - static_cast<long double>(p));
  const auto mode = std::min<int64_t>(n, static_cast<int64_t>((n + 1) * static_cast<long double>(p)));
  long double below = 0, above = 0;
  const auto add = [&](int64_t i, long double term) { (i <= k ? below : above) += term; };
  add(mode, 1);
  long double term = 1;
  for (int64_t i = mode; i > 0 && term > 1e-30L; --i) {
    term *= static_cast<long double>(i) / (static_cast<long double>(n - i + 1) * odds);
    add(i - 1, term);
  }
  term = 1;
  for (int64_t i = mode; i < n && term > 1e-30L; ++i) {
    term *= static_cast<long double>(n - i) * odds / static_cast<long double>(i + 1);
    add(i + 1, term);
  }
  return below / (below + above);
}

TEST(Binomial, MatchesTheSumForEverySmallN) {
  for (int64_t n : {0, 1, 2, 3, 7, 16, 31, 64, 101})
    for (double p : {1e-9, 0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.77, 0.95, 0.999})
      for (int64_t k = -1; k <= n + 1; ++k) {
        const double diff = std::abs(binomial_cdf(k, n, p) - static_cast<double>(oracle(k, n, p)));
        ASSERT_FALSE(!(diff <= 1e-12)) << "k " << k << " n " << n << " p " << p << " diff " << diff;
      }
}

TEST(Binomial, MatchesTheSumForLargeN) {
  for (int64_t n : {1'000, 10'007, 1'000'000, 100'000'000})
    for (double p : {0.0001, 0.01, 0.05, 0.2, 0.5, 0.9}) {
      const double mean = static_cast<double>(n) * p, sd = std::sqrt(mean * (1 - p));
      for (double z : {-5.0, -2.3, -1.28, -0.1, 0.0, 0.4, 1.9, 4.0}) {
        const auto k = static_cast<int64_t>(std::floor(mean + z * sd));
        const double diff = std::abs(binomial_cdf(k, n, p) - static_cast<double>(oracle(k, n, p)));
        EXPECT_FALSE(!(diff <= (n > 100'000 ? 1e-9 : 1e-12)))
            << "k " << k << " n " << n << " p " << p << " diff " << diff;
      }
    }
}

TEST(Binomial, Edges) {
  struct Row {
    int64_t k, n;
    double p, want;
  };
  for (const Row& r : {Row{-1, 5, 0.5, 0}, Row{5, 5, 0.5, 1}, Row{9, 5, 0.5, 1}, Row{0, 0, 0.3, 1}, Row{2, 5, 0.0, 1},
                       Row{2, 5, 1.0, 0}, Row{0, 1, 0.25, 0.75}, Row{0, 3, 0.5, 0.125}})
    EXPECT_FALSE(!(std::abs(binomial_cdf(r.k, r.n, r.p) - r.want) <= 1e-15)) << r.k << " " << r.n << " " << r.p;
}

// The bound is where the observation becomes delta-improbable.
TEST(Binomial, ClopperPearsonSolvesItsEquation) {
  for (int64_t n : {1, 2, 5, 30, 200, 1500, 100'000})
    for (double delta : {0.001, 0.05, 0.1, 0.5})
      for (int64_t k : {int64_t{0}, int64_t{1}, n / 3, n / 2, n - 1, n}) {
        if (k < 0 || k > n) continue;
        const double lower = clopper_pearson_lower(k, n, delta), upper = clopper_pearson_upper(k, n, delta);
        ASSERT_TRUE(lower >= 0 && lower <= upper && upper <= 1) << k << " of " << n;
        if (k == 0) {
          EXPECT_EQ(lower, 0);
        } else {
          EXPECT_FALSE(!(std::abs(1 - binomial_cdf(k - 1, n, lower) - delta) <= 1e-9)) << k << " of " << n;
          EXPECT_TRUE(1 - binomial_cdf(k - 1, n, lower) <= delta + 1e-13) << "not on the conservative side";
        }
        if (k == n) {
          EXPECT_EQ(upper, 1);
        } else {
          EXPECT_FALSE(!(std::abs(binomial_cdf(k, n, upper) - delta) <= 1e-9)) << k << " of " << n;
        }
      }
  EXPECT_EQ(clopper_pearson_lower(0, 0, 0.1), 0);
  EXPECT_EQ(clopper_pearson_upper(0, 0, 0.1), 1);
}

// Coverage of the bound, summed exactly over the outcomes.
TEST(Binomial, ClopperPearsonMissesAtMostDelta) {
  for (int64_t n : {1, 4, 20, 77})
    for (double p : {0.02, 0.3, 0.9, 0.95})
      for (double delta : {0.05, 0.1}) {
        long double missed = 0;
        for (int64_t k = 0; k <= n; ++k)
          if (clopper_pearson_lower(k, n, delta) > p) missed += oracle(k, n, p) - oracle(k - 1, n, p);
        EXPECT_TRUE(missed <= delta + 1e-12) << n << " " << p;
      }
}

TEST(Binomial, CriticalValuesFollowTheirDefinition) {
  for (double epsilon : {0.01, 0.05, 0.1, 0.25, 0.5})
    for (double delta : {0.01, 0.05, 0.1}) {
      const auto allowed = critical_values(400, epsilon, delta);
      ASSERT_EQ(allowed.size(), 401u);
      for (int64_t n = 0; n <= 400; ++n) {
        int64_t want = -1;
        while (want + 1 <= n && n > 0 && oracle(want + 1, n, epsilon) <= delta) ++want;
        ASSERT_EQ(allowed[n], want) << "n " << n << " epsilon " << epsilon << " delta " << delta;
      }
    }
  EXPECT_EQ(critical_values(0, 0.1, 0.1), std::vector<int64_t>{-1});
}

TEST(Binomial, FewestRowsIsTheFirstThatCertifies) {
  for (double alpha : {0.5, 0.8, 0.9, 0.95, 0.99, 0.999})
    for (double delta : {0.01, 0.05, 0.1}) {
      const int64_t n = fewest_certifying_rows(alpha, delta);
      EXPECT_TRUE(std::pow(alpha, static_cast<double>(n)) <= delta * (1 + 1e-9)) << alpha << " " << delta;
      EXPECT_TRUE(n == 1 || std::pow(alpha, static_cast<double>(n - 1)) > delta) << alpha << " " << delta;
      EXPECT_EQ(critical_values(n, 1 - alpha, delta)[n], 0) << alpha << " " << delta;
    }
  EXPECT_EQ(fewest_certifying_rows(0.95, 0.05), 59);
  EXPECT_EQ(fewest_certifying_rows(0.5, 0.25), 2);
}

}  // namespace
}  // namespace tracer
