#include "engine/maths/principal_components.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/maths/random.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::cpu;

PrincipalComponents components_of(const Matrix<float>& rows, int64_t k, int threads = 1) {
  auto backend = cpu(threads);
  Matrix<float> x = rows.clone();
  auto found = principal_components(*backend, x.view(), k);
  EXPECT_TRUE(found.ok()) << found.status().message();
  return found.ok() ? std::move(found).value() : PrincipalComponents{};
}

// Rows with standard deviations `scale` along orthonormal directions: reflected axes, so that no direction is an axis.
Matrix<float> ellipsoid(int64_t n, const std::vector<double>& scale, uint64_t seed) {
  const auto d = static_cast<int64_t>(scale.size());
  const Random random(seed, Stream::kRows);
  std::vector<double> mirror(static_cast<size_t>(d));
  double length2 = 0;
  for (int64_t j = 0; j < d; ++j) mirror[j] = 1 + 0.3 * static_cast<double>(j), length2 += mirror[j] * mirror[j];
  Matrix<float> x(n, d);
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> row(static_cast<size_t>(d));
    double dot = 0;
    for (int64_t j = 0; j < d; ++j) row[j] = scale[j] * random.normal(static_cast<uint64_t>(i * d + j));
    for (int64_t j = 0; j < d; ++j) dot += row[j] * mirror[j];
    for (int64_t j = 0; j < d; ++j) x(i, j) = static_cast<float>(5 + row[j] - 2 * dot * mirror[j] / length2);
  }
  return x;
}

// The oracle, in double: the covariance, its largest eigenvector by plain power iteration, deflated for the next.
std::vector<std::vector<double>> naive_components(const Matrix<float>& x, int k) {
  const int64_t n = x.rows(), d = x.cols();
  std::vector<double> mean(static_cast<size_t>(d));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < d; ++j) mean[j] += x(i, j) / static_cast<double>(n);
  std::vector<std::vector<double>> cov(static_cast<size_t>(d), std::vector<double>(static_cast<size_t>(d)));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b < d; ++b) cov[a][b] += (x(i, a) - mean[a]) * (x(i, b) - mean[b]);
  std::vector<std::vector<double>> coordinates;
  for (int c = 0; c < k; ++c) {
    std::vector<double> v(static_cast<size_t>(d));
    for (int64_t j = 0; j < d; ++j) v[j] = 1 + 0.01 * static_cast<double>(j);
    double value = 0;
    for (int step = 0; step < 5000; ++step) {
      std::vector<double> next(static_cast<size_t>(d));
      for (int64_t a = 0; a < d; ++a)
        for (int64_t b = 0; b < d; ++b) next[a] += cov[a][b] * v[b];
      value = 0;
      for (const double w : next) value += w * w;
      value = std::sqrt(value);
      for (int64_t j = 0; j < d; ++j) v[j] = next[j] / value;
    }
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b < d; ++b) cov[a][b] -= value * v[a] * v[b];
    std::vector<double> along(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < d; ++j) along[i] += (x(i, j) - mean[j]) * v[j];
    coordinates.push_back(std::move(along));
  }
  return coordinates;
}

TEST(PrincipalComponents, AreThoseOfTheCovariance) {
  for (const auto& [n, d] : {std::pair<int64_t, int64_t>{40, 2}, {200, 7}, {500, 23}}) {
    std::vector<double> scale(static_cast<size_t>(d), 0.3);
    scale[0] = 1.5, scale[1] = 0.9;
    const Matrix<float> x = ellipsoid(n, scale, static_cast<uint64_t>(n));
    const PrincipalComponents found = components_of(x, 2);
    const auto wanted = naive_components(x, 2);
    double total = 0, sums[2] = {};
    for (int64_t j = 0; j < d; ++j) {
      double mean = 0;
      for (int64_t i = 0; i < n; ++i) mean += x(i, j) / static_cast<double>(n);
      for (int64_t i = 0; i < n; ++i) total += (x(i, j) - mean) * (x(i, j) - mean);
    }
    for (int c = 0; c < 2; ++c) {
      float most = 0;
      double dot = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (std::abs(found.coordinates(i, c)) > std::abs(most)) most = found.coordinates(i, c);
        dot += found.coordinates(i, c) * wanted[c][i], sums[c] += wanted[c][i] * wanted[c][i];
      }
      EXPECT_GT(most, 0) << n;
      // Angles settle at about the square root of what variances do (1e-5).
      for (int64_t i = 0; i < n; ++i)
        ASSERT_NEAR(found.coordinates(i, c), (dot < 0 ? -1 : 1) * wanted[c][i], 0.03) << n << " row " << i;
      EXPECT_NEAR(found.share[c], sums[c] / total, 1e-4) << n;
    }
  }
}

TEST(PrincipalComponents, RowsThatDoNotVaryHaveNone) {
  Matrix<float> same(5, 4);
  for (int64_t i = 0; i < 5; ++i) same(i, 1) = 1;
  const PrincipalComponents none = components_of(same, 2);
  for (int64_t i = 0; i < none.coordinates.size(); ++i) EXPECT_EQ(none.coordinates.data()[i], 0);
  EXPECT_EQ(none.share, (std::vector<double>{0, 0}));
  EXPECT_EQ(components_of(Matrix<float>(0, 4), 2).coordinates.rows(), 0);
  Matrix<float> line(3, 1);  // one dimension: no second component
  line(0, 0) = -1, line(2, 0) = 2;
  const PrincipalComponents one = components_of(line, 2);
  EXPECT_NEAR(one.share[0], 1, 1e-6);
  EXPECT_EQ(one.share[1], 0);
  EXPECT_NEAR(one.coordinates(2, 0), 5.0 / 3, 1e-6);
  EXPECT_EQ(one.coordinates(2, 1), 0);
}

TEST(PrincipalComponents, SameBytesWithMoreThreads) {
  const Matrix<float> x = ellipsoid(700, {1, 0.9, 0.8, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.2}, 9);
  const PrincipalComponents one = components_of(x, 2, 1), four = components_of(x, 2, 4);
  for (int64_t i = 0; i < one.coordinates.size(); ++i)
    ASSERT_EQ(one.coordinates.data()[i], four.coordinates.data()[i]) << i;
}

}  // namespace
}  // namespace tracer
