#include "engine/regions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;

Regions regions_of(const Matrix<float>& x, int threads = 1) {
  auto backend = cpu(threads);
  auto found = find_regions(*backend, x.view());
  EXPECT_TRUE(found.ok()) << found.status().message();
  return found.ok() ? std::move(found).value() : Regions{};
}

double distance2(const float* row, const std::vector<double>& centre) {
  double sum = 0;
  for (size_t j = 0; j < centre.size(); ++j) sum += (row[j] - centre[j]) * (row[j] - centre[j]);
  return sum;
}

// The oracle: means and distances in double, from the regions alone. No row is nearer to the mean of another region.
TEST(Regions, EveryRowIsInTheRegionWhoseMeanIsNearest) {
  for (int64_t n : {100, 101, 149, 150, 500, 1700}) {
    const auto rows = clusters(n, 7, 12, 0.6, 0, 3 + static_cast<uint64_t>(n));
    const Regions r = regions_of(rows.x);
    const int64_t k = std::min<int64_t>(16, n / 50), d = rows.x.cols();
    ASSERT_EQ(r.count, k) << n;
    std::vector<std::vector<double>> mean(static_cast<size_t>(k), std::vector<double>(static_cast<size_t>(d)));
    std::vector<int64_t> size(static_cast<size_t>(k));
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_GE(r.region[i], 0) << n;
      ASSERT_LT(r.region[i], k) << n;
      ++size[r.region[i]];
      for (int64_t j = 0; j < d; ++j) mean[r.region[i]][j] += rows.x(i, j);
    }
    EXPECT_TRUE(std::is_sorted(size.rbegin(), size.rend())) << n;
    for (int64_t c = 0; c < k; ++c)
      for (double& v : mean[c]) v /= static_cast<double>(size[c]);
    for (int64_t i = 0; i < n; ++i) {
      const double own = distance2(rows.x.row(i), mean[r.region[i]]);
      EXPECT_NEAR(r.distance2[i], own, 1e-5) << n << " row " << i;
      for (int64_t c = 0; c < k; ++c) EXPECT_LE(own, distance2(rows.x.row(i), mean[c]) + 1e-5) << n << " row " << i;
    }
  }
}

TEST(Regions, SeparateClustersAreFoundAndNumberedBySize) {
  Matrix<float> x(150, 3);  // 40, 70, 40 rows on the axes
  for (int64_t i = 0; i < 150; ++i) x(i, i < 40 ? 0 : i < 110 ? 1 : 2) = 1;
  const Regions r = regions_of(x);
  ASSERT_EQ(r.count, 3);
  for (int64_t i = 0; i < 150; ++i) EXPECT_EQ(r.region[i], i < 40 ? 1 : i < 110 ? 0 : 2) << i;
}

TEST(Regions, TooFewRowsAndEqualRows) {
  for (int64_t n : {0, 1, 99}) {
    const Regions r = regions_of(clusters(n, 2, 4, 0.5, 0, 9).x);
    EXPECT_EQ(r.count, 0) << n;
    EXPECT_TRUE(r.region.empty()) << n;
  }
  Matrix<float> same(1000, 4), zero(1000, 4);
  for (int64_t i = 0; i < 1000; ++i) same(i, 2) = 1;
  for (const Matrix<float>* x : {&same, &zero}) {
    const Regions r = regions_of(*x);
    EXPECT_EQ(r.count, 1);
    EXPECT_EQ(std::count(r.region.begin(), r.region.end(), 0), 1000);
    EXPECT_EQ(*std::max_element(r.distance2.begin(), r.distance2.end()), 0);
  }
}

TEST(Regions, AnyNumberOfThreadsGivesTheSameRegions) {
  const auto rows = clusters(3000, 20, 33, 0.8, 0, 5);
  const Regions one = regions_of(rows.x), four = regions_of(rows.x, 4);
  EXPECT_EQ(one.region, four.region);
  EXPECT_EQ(one.distance2, four.distance2);
}

}  // namespace
}  // namespace tracer
