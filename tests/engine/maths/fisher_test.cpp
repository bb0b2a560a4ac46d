#include "engine/maths/fisher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/support.h"

namespace tracer {
namespace {

double choose(int64_t n, int64_t k) {
  double c = 1;
  for (int64_t i = 0; i < k; ++i) c = c * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return c;
}

// The oracle: tables counted one by one.
double naive_fisher(int64_t k, int64_t n, int64_t l, int64_t m) {
  const auto ways = [&](int64_t x) { return choose(n, x) * choose(m, k + l - x); };
  double as_rare = 0, all = 0;
  for (int64_t x = 0; x <= k + l; ++x) {
    if (x > n || k + l - x > m) continue;
    all += ways(x);
    if (ways(x) <= ways(k) * (1 + 1e-9)) as_rare += ways(x);
  }
  return as_rare / all;
}

TEST(ExactTest, EverySmallTable) {
  for (int64_t n : {1, 2, 7, 12})
    for (int64_t m : {1, 3, 9})
      for (int64_t k = 0; k <= n; ++k)
        for (int64_t l = 0; l <= m; ++l)
          EXPECT_NEAR(fisher_exact(k, n, l, m), naive_fisher(k, n, l, m), 1e-9)
              << k << " " << n << " " << l << " " << m;
}

TEST(ExactTest, KnownAnswersAndEmptySides) {
  EXPECT_NEAR(fisher_exact(3, 4, 1, 4), 34.0 / 70, 1e-12);  // Fisher's tea
  EXPECT_EQ(fisher_exact(0, 0, 3, 5), 1);
  EXPECT_EQ(fisher_exact(3, 5, 0, 0), 1);
  EXPECT_LT(fisher_exact(10, 50000, 200, 50000), 1e-30);
}

// The definition: the i-th smallest of m is multiplied by m - i, and none is below a smaller one's.
TEST(ExactTest, HolmKeepsTheOrderAndIsNoMoreThanBonferroni) {
  EXPECT_EQ(holm({}), std::vector<double>{});
  const std::vector<double> got = holm({0.01, 0.04, 0.03, 0.005});
  const std::vector<double> want = {0.03, 0.06, 0.06, 0.02};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << i;
  EXPECT_EQ(holm({0.9, 0.8}), (std::vector<double>{1, 1}));
}

// Under the null, some flag is raised in at most a twentieth of the families, counted over 2,000 of them.
TEST(ExactTest, FamiliesWithoutDifferencesAreSeldomFlagged) {
  testing::Draws draws(7);
  constexpr int kFamilies = 2000, kTests = 6;
  int flagged = 0;
  for (int f = 0; f < kFamilies; ++f) {
    std::vector<double> p;
    for (int t = 0; t < kTests; ++t) {
      int64_t k = 0, l = 0;
      for (int i = 0; i < 40; ++i) k += draws.uniform() < 0.3;
      for (int i = 0; i < 60; ++i) l += draws.uniform() < 0.3;
      p.push_back(fisher_exact(k, 40, l, 60));
    }
    const auto adjusted = holm(p);
    flagged += *std::min_element(adjusted.begin(), adjusted.end()) <= 0.05;
  }
  EXPECT_LE(flagged, 129);  // 0.05 + 3 standard errors
  EXPECT_GT(flagged, 0);
}

}  // namespace
}  // namespace tracer
