#include "engine/study/regions.h"

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
    const int64_t k = r.count, d = rows.x.cols();
    ASSERT_GE(k, 2) << n;
    ASSERT_LE(k, std::min<int64_t>(16, n / 50)) << n;
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

// Groups around axes, though there could be 16.
TEST(Regions, TheSilhouetteFindsTheNumberOfGroups) {
  for (int32_t groups : {2, 3, 4, 5, 7}) {
    Matrix<float> x(1600, 24);
    testing::Draws draws(40 + static_cast<uint64_t>(groups));
    for (int64_t i = 0; i < 1600; ++i) {
      for (int64_t j = 0; j < 24; ++j) x(i, j) = static_cast<float>(0.05 * draws.normal());
      x(i, draws.below(groups)) += 1;
    }
    const Regions r = regions_of(x);
    ASSERT_EQ(r.tried.size(), 15u);
    EXPECT_EQ(r.tried.front().regions, 2);
    EXPECT_EQ(r.tried.back().regions, 16);
    EXPECT_EQ(r.count, groups);
  }
}

// The oracle: every distance in double, on all rows, of which there are no more than the sample would hold.
TEST(Regions, TheSilhouetteIsThatOfItsRegions) {
  const auto rows = clusters(900, 6, 10, 0.7, 0, 77);
  const Regions r = regions_of(rows.x);
  std::vector<std::vector<double>> mean(static_cast<size_t>(r.count), std::vector<double>(10));
  std::vector<double> size(static_cast<size_t>(r.count));
  for (int64_t i = 0; i < 900; ++i) {
    ++size[r.region[i]];
    for (int64_t j = 0; j < 10; ++j) mean[r.region[i]][j] += rows.x(i, j);
  }
  for (size_t c = 0; c < mean.size(); ++c)
    for (double& v : mean[c]) v /= size[c];
  double sum = 0;
  for (int64_t i = 0; i < 900; ++i) {
    std::vector<double> all;
    for (const auto& centre : mean) all.push_back(std::sqrt(distance2(rows.x.row(i), centre)));
    std::sort(all.begin(), all.end());
    sum += (all[1] - all[0]) / all[1];
  }
  double best = 0, chosen = -1;
  for (const RegionCount& t : r.tried) {
    best = std::max(best, t.silhouette);
    if (t.regions == r.count) chosen = t.silhouette;
  }
  EXPECT_NEAR(chosen, sum / 900, 1e-5);
  EXPECT_GE(chosen, best - kSilhouetteGivenUp);
  for (const RegionCount& t : r.tried) {
    if (t.regions > r.count) {
      EXPECT_LT(t.silhouette, best - kSilhouetteGivenUp) << t.regions;
    }
  }
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
