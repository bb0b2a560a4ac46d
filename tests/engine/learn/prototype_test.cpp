#include "engine/learn/prototype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/learn/softmax_path.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;

// x of a x = b by Gaussian elimination with pivots, as a textbook has it.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i)
      if (std::fabs(a[i][k]) > std::fabs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]), std::swap(b[k], b[pivot]);
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t j = k + 1; j < n; ++j) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
  return b;
}

// Logits of one row, naive: from the rows themselves, in float64, less their mean over the labels that were seen.
std::vector<double> oracle(const Clusters& log, const std::vector<int32_t>& rows, int32_t classes, double ridge,
                           double temperature, int64_t row) {
  const auto d = static_cast<size_t>(log.x.cols());
  std::vector<std::vector<double>> mean(static_cast<size_t>(classes), std::vector<double>(d)), a(d);
  std::vector<double> count(static_cast<size_t>(classes));
  const auto at = [&](int32_t r, size_t j) { return static_cast<double>(log.x(r, static_cast<int64_t>(j))); };
  for (int32_t r : rows) {
    const auto c = static_cast<size_t>(log.label[static_cast<size_t>(r)]);
    ++count[c];
    for (size_t j = 0; j < d; ++j) mean[c][j] += at(r, j);
  }
  for (size_t c = 0; c < mean.size(); ++c)
    for (double& v : mean[c]) v /= std::max(count[c], 1.0);
  for (auto& line : a) line.assign(d, 0);
  for (int32_t r : rows) {
    const auto& m = mean[static_cast<size_t>(log.label[static_cast<size_t>(r)])];
    for (size_t i = 0; i < d; ++i)
      for (size_t j = 0; j < d; ++j)
        a[i][j] += (at(r, i) - m[i]) * (at(r, j) - m[j]) / static_cast<double>(rows.size());
  }
  double trace = 0;
  for (size_t i = 0; i < d; ++i) trace += a[i][i];
  for (size_t i = 0; i < d; ++i) a[i][i] += ridge * trace / static_cast<double>(d);
  std::vector<double> logits(mean.size());
  double average = 0, seen = 0;
  for (size_t c = 0; c < mean.size(); ++c) {
    if (count[c] == 0) continue;
    const std::vector<double> w = solve(a, mean[c]);
    double z = std::log(count[c] / static_cast<double>(rows.size()));
    for (size_t j = 0; j < d; ++j) z += w[j] * (at(static_cast<int32_t>(row), j) - mean[c][j] / 2);
    logits[c] = temperature * z;
    average += logits[c], ++seen;
  }
  for (double& z : logits) z -= average / seen;
  return logits;
}

TEST(Prototype, IsTheDenseSolution) {
  for (const double ridge : {0.1, 1.0}) {
    const Clusters log = clusters(400, 5, 9, 0.8, 0.1, 3);
    std::vector<int32_t> rows;  // a label is missing from them
    for (int32_t i = 0; i < 400; ++i)
      if (i % 3 != 0 && log.label[static_cast<size_t>(i)] != 2) rows.push_back(i);
    const auto backend = cpu();
    const auto moments = class_moments(*backend, log.x.view(), log.label, 5, rows);
    ASSERT_TRUE(moments.ok());
    const auto member = fit_prototype(*backend, *moments, ridge, 0.5);
    ASSERT_TRUE(member.ok()) << member.status().message();
    EXPECT_EQ(member->b[2], kRemovedBias);
    for (int64_t i = 0; i < 400; i += 17) {
      const std::vector<double> expected = oracle(log, rows, 5, ridge, 0.5, i);
      for (size_t c = 0; c < 5; ++c) {
        if (c == 2) continue;
        double z = member->b[c];
        for (int64_t j = 0; j < 9; ++j) z += static_cast<double>(log.x(i, j)) * member->w(j, static_cast<int64_t>(c));
        // Weights below 30 in float32, from products of unit rows summed in float32 and divided by variances above
        // 0.05.
        ASSERT_NEAR(z, expected[c], 2e-4) << "row " << i << ", label " << c << ", ridge " << ridge;
      }
    }
  }
}

TEST(Prototype, MomentsAddUpAndThreadsDoNotMatter) {
  const Clusters log = clusters(5000, 4, 20, 0.8, 0.1, 5);
  std::vector<int32_t> all(5000);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<int32_t> first(all.begin(), all.begin() + 2000), rest(all.begin() + 2000, all.end());
  const auto one = cpu(1), two = cpu(2);
  auto whole = class_moments(*one, log.x.view(), log.label, 4, all),
       part = class_moments(*one, log.x.view(), log.label, 4, rest);
  const auto taken = class_moments(*one, log.x.view(), log.label, 4, first);
  ASSERT_TRUE(whole.ok() && part.ok() && taken.ok());
  add(*taken, 1, *part);
  EXPECT_EQ(part->rows, whole->rows);
  for (int64_t i = 0; i < whole->gram.size(); ++i) ASSERT_NEAR(part->gram.data()[i], whole->gram.data()[i], 1e-2);
  const auto a = fit_prototype(*one, *whole, 0.1, 1);
  const auto again = class_moments(*two, log.x.view(), log.label, 4, all);
  const auto b = fit_prototype(*two, *again, 0.1, 1);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_TRUE(std::equal(a->w.data(), a->w.data() + a->w.size(), b->w.data()));
  EXPECT_EQ(a->b, b->b);
}

TEST(Prototype, RowsThatAreAllAlikeAreNoError) {
  Matrix<float> x(30, 3);
  for (int64_t i = 0; i < 30; ++i) x(i, 0) = 1;
  std::vector<int32_t> label(30), rows(30);
  for (int32_t i = 0; i < 30; ++i) label[static_cast<size_t>(i)] = i % 2, rows[static_cast<size_t>(i)] = i;
  const auto backend = cpu();
  const auto moments = class_moments(*backend, x.view(), label, 2, rows);
  ASSERT_TRUE(moments.ok());
  const auto member = fit_prototype(*backend, *moments, 0.01, 1);
  ASSERT_TRUE(member.ok());
  for (float b : member->b) EXPECT_TRUE(std::isfinite(b));
}

}  // namespace
}  // namespace tracer
