#include <array>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;
using test::Padded;

class KMeans : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(KMeans);

TEST_P(KMeans, AssignsTheNearestCentroid) {
  const std::vector<std::array<int64_t, 3>> cases = {
      // rows, d, centroids
      {0, 3, 2},    {1, 1, 1},    {1, 0, 3},     {31, 2, 11},  {32, 3, 12},     {33, 4, 13},  {47, 5, 16},
      {49, 17, 95}, {64, 31, 96}, {65, 384, 97}, {97, 385, 5}, {130, 769, 193}, {40, 8, 4096}};
  for (const auto& [n, d, k] : cases) {
    SCOPED_TRACE(testing::Message() << n << " rows, d " << d << ", " << k << " centroids");
    Padded<float> x(n, d, 7.0f), c(k, d, 7.0f);
    std::mt19937 rng(static_cast<uint32_t>(n * 7 + d * 3 + k));
    test::fill_uniform(x.view(), rng);
    test::fill_uniform(c.view(), rng);
    std::vector<int32_t> label(static_cast<size_t>(n), -7);
    std::vector<float> distance2(static_cast<size_t>(n), -7.0f);
    ASSERT_OK(backend->kmeans_assign(x.view(), c.view(), label, distance2));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t got = label[static_cast<size_t>(i)];
      ASSERT_GE(got, 0);
      ASSERT_LT(got, k);
      int64_t best = 0;
      double best2 = 0, got2 = 0, size = 0;
      for (int64_t j = 0; j < k; ++j) {
        double sum = 0, total = 0;
        for (int64_t l = 0; l < d; ++l) {
          const double a = x.view()(i, l), b = c.view()(j, l);
          sum += (a - b) * (a - b);
          total += std::fabs(a * b) + b * b / 2;
        }
        size = std::max(size, total);
        if (j == 0 || sum < best2) best = j, best2 = sum;
        if (j == got) got2 = sum;
      }
      // A score x.c - |c|^2/2 errs by at most (d + blocks + 3) roundings of its terms' sizes; the squared distance is
      // -2 times it plus a constant, and two of them are compared.
      const double tolerance = 4 * 1.01 * static_cast<double>(d + 6) * test::kRounding * size;
      if (got != best) {
        ASSERT_TRUE(near(got2, best2, tolerance)) << "row " << i;
      }
      ASSERT_TRUE(near(distance2[static_cast<size_t>(i)], got2, 2 * test::kRounding * got2));
    }
  }
}

TEST_P(KMeans, TiesGoToTheLowerIndex) {
  const Matrix<float> x = test::uniform(37, 9, 1);
  for (const int64_t k : {2, 13, 100, 1000}) {
    Matrix<float> c(k, 9);
    for (int64_t j = 0; j < k; ++j) {
      for (int64_t l = 0; l < 9; ++l) c(j, l) = static_cast<float>((j % 7 * 3 + l) % 5) * 0.25f;
    }
    std::vector<int32_t> label(37);
    ASSERT_OK(backend->kmeans_assign(x.view(), c.view(), label, {}));
    for (const int32_t l : label) ASSERT_LT(l, 7);  // the first of its copies
  }
}

TEST_P(KMeans, SameBytesForAnyNumberOfThreadsAndAnyBatch) {
  const Matrix<float> x = test::uniform(1003, 401, 1), c = test::uniform(37, 401, 2);
  std::vector<int32_t> reference(1003);
  std::vector<float> distance2(1003);
  ASSERT_OK(test::make(GetParam(), 1)->kmeans_assign(x.view(), c.view(), reference, distance2));
  Matrix<float> moved = c.clone();
  std::vector<int64_t> count(37);
  ASSERT_OK(test::make(GetParam(), 1)->kmeans_update(x.view(), reference, moved.view(), count));
  for (const int threads : {2, 3, 7}) {
    std::vector<int32_t> label(1003);
    std::vector<float> d2(1003);
    const auto other = test::make(GetParam(), threads);
    ASSERT_OK(other->kmeans_assign(x.view(), c.view(), label, d2));
    ASSERT_TRUE(test::same_bytes(label, reference));
    ASSERT_TRUE(test::same_bytes(d2, distance2));
    Matrix<float> centroid = c.clone();
    std::vector<int64_t> n(37);
    ASSERT_OK(other->kmeans_update(x.view(), label, centroid.view(), n));
    ASSERT_TRUE(test::same_bytes(centroid, moved));
    ASSERT_EQ(n, count);
  }
  for (int64_t i = 0; i < 1003; i += 17) {
    std::vector<int32_t> label(1);
    ASSERT_OK(backend->kmeans_assign(x.view().rows_from(i, 1), c.view(), label, {}));
    ASSERT_EQ(label[0], reference[static_cast<size_t>(i)]);
  }
}

TEST_P(KMeans, UpdateIsTheMeanAndAnEmptyClusterStays) {
  for (const int64_t n : {0, 1, 500}) {
    const Matrix<float> x = test::uniform(n, 11, 4);
    std::vector<int32_t> label = test::integers(n, 6, 5);
    for (int32_t& l : label) l += l == 3;  // nobody belongs to 3
    const Matrix<float> before = test::uniform(7, 11, 6);
    Matrix<float> c = before.clone();
    std::vector<int64_t> count(7, -1);
    ASSERT_OK(backend->kmeans_update(x.view(), label, c.view(), count));
    for (int64_t k = 0; k < 7; ++k) {
      int64_t rows = 0;
      std::array<double, 11> sum{};
      for (int64_t i = 0; i < n; ++i) {
        if (label[static_cast<size_t>(i)] != k) continue;
        ++rows;
        for (size_t j = 0; j < 11; ++j) sum[j] += static_cast<double>(x(i, static_cast<int64_t>(j)));
      }
      ASSERT_EQ(count[static_cast<size_t>(k)], rows);
      for (int64_t j = 0; j < 11; ++j) {
        ASSERT_EQ(c(k, j), rows == 0 ? before(k, j)
                                     : static_cast<float>(sum[static_cast<size_t>(j)] / static_cast<double>(rows)));
      }
    }
  }
}

TEST_P(KMeans, RefusesWhatDoesNotFit) {
  const Matrix<float> x = test::uniform(4, 3, 1);
  Matrix<float> c = test::uniform(2, 3, 2), wide = test::uniform(2, 4, 2), many(4097, 3), none(0, 3);
  std::vector<int32_t> label = {0, 1, 0, 1}, few(3), outside = {0, 2, 0, 1};
  std::vector<int64_t> count(2);
  EXPECT_EQ(backend->kmeans_assign(x.view(), wide.view(), label, {}).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->kmeans_assign(x.view(), many.view(), label, {}).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->kmeans_assign(x.view(), none.view(), label, {}).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->kmeans_assign(x.view(), c.view(), few, {}).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->kmeans_update(x.view(), outside, c.view(), count).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->kmeans_update(x.view(), few, c.view(), count).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
