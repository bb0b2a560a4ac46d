#include "engine/study/neighbour_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/maths/principal_components.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;

Matrix<float> map_of(const Matrix<float>& x, int threads = 1) {
  auto backend = cpu(threads);
  Matrix<float> centred = x.clone();
  auto start = principal_components(*backend, centred.view(), 2);
  EXPECT_TRUE(start.ok());
  auto map = neighbour_map(*backend, x.view(), start->coordinates.view());
  EXPECT_TRUE(map.ok()) << map.status().message();
  return map.ok() ? std::move(map).value() : Matrix<float>();
}

// The k rows nearest to row i, by squared distance in double.
std::vector<int64_t> nearest(const Matrix<float>& x, int64_t i, int64_t k) {
  std::vector<std::pair<double, int64_t>> order;
  for (int64_t j = 0; j < x.rows(); ++j) {
    double d = 0;
    for (int64_t c = 0; c < x.cols(); ++c) d += std::pow(static_cast<double>(x(i, c)) - x(j, c), 2);
    if (j != i) order.emplace_back(d, j);
  }
  std::partial_sort(order.begin(), order.begin() + k, order.end());
  std::vector<int64_t> rows;
  for (int64_t j = 0; j < k; ++j) rows.push_back(order[j].second);
  return rows;
}

double kept(const Matrix<float>& x, const Matrix<float>& plane, int64_t k) {
  int64_t common = 0;
  for (int64_t i = 0; i < x.rows(); ++i) {
    const auto wanted = nearest(x, i, k), found = nearest(plane, i, k);
    for (const int64_t row : found) common += std::count(wanted.begin(), wanted.end(), row);
  }
  return static_cast<double>(common) / static_cast<double>(k * x.rows());
}

// What the picture is for: neighbours in the space are neighbours in the plane, more than on principal components, and
// separate clusters come out separate.
TEST(NeighbourMap, KeepsNeighboursTogether) {
  const auto rows = clusters(800, 20, 24, 0.4, 0, 5);
  const Matrix<float> map = map_of(rows.x);
  auto backend = cpu(1);
  Matrix<float> centred = rows.x.clone();
  auto start = principal_components(*backend, centred.view(), 2);
  ASSERT_TRUE(start.ok());
  // Inside a cluster the rows are noise of 24 dimensions, of which no plane keeps much.
  EXPECT_GT(kept(rows.x, map, 15), 1.2 * kept(rows.x, start->coordinates, 15));
  const auto own_cluster = [&](const Matrix<float>& plane) {
    int64_t own = 0;
    for (int64_t i = 0; i < plane.rows(); ++i)
      for (const int64_t j : nearest(plane, i, 5)) own += rows.label[i] == rows.label[j];
    return static_cast<double>(own) / static_cast<double>(5 * plane.rows());
  };
  EXPECT_GT(own_cluster(map), 0.97);
  EXPECT_LT(own_cluster(start->coordinates), 0.9);
}

TEST(NeighbourMap, FewAndEqualRowsHaveFinitePlaces) {
  for (const int64_t n : {0, 1, 2, 3, 4, 15, 16, 17, 40}) {
    Matrix<float> same(n, 5);
    for (int64_t i = 0; i < n; ++i) same(i, 2) = 1;
    const Matrix<float> map = map_of(same);
    ASSERT_EQ(map.rows(), n);
    for (int64_t i = 0; i < map.size(); ++i) ASSERT_TRUE(std::isfinite(map.data()[i])) << n;
  }
}

TEST(NeighbourMap, SameBytesWithMoreThreads) {
  const auto rows = clusters(500, 5, 16, 0.6, 0, 8);
  const Matrix<float> one = map_of(rows.x, 1), four = map_of(rows.x, 4);
  for (int64_t i = 0; i < one.size(); ++i) ASSERT_EQ(one.data()[i], four.data()[i]) << i;
}

}  // namespace
}  // namespace tracer
