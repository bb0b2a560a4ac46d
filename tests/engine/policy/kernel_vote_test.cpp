// The kernel vote: against a dense solution, its edges, and that it depends on nothing but its inputs.
#include "engine/policy/kernel_vote.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Clusters;

// A tenth of the labels is drawn at random.
Clusters points(int64_t n, int32_t classes, int64_t d, uint64_t seed) {
  return testing::clusters(n, classes, d, 0.8, 0.1, seed);
}

double power8(double s) { return std::pow(std::max(s, 0.0), 8); }

// Solves A X = B by Gaussian elimination with pivoting, in place.
void solve(std::vector<std::vector<double>>& a, std::vector<std::vector<double>>& b) {
  const size_t n = a.size();
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k; i < n; ++i)
      if (std::fabs(a[i][k]) > std::fabs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]), std::swap(b[k], b[pivot]);
    for (size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      for (size_t c = 0; c < b[i].size(); ++c) b[i][c] -= factor * b[k][c];
    }
  }
  for (size_t i = 0; i < n; ++i)
    for (double& v : b[i]) v /= a[i][i];
}

TEST(KernelVote, IsTheRidgeSolution) {
  const auto backend = testing::cpu();
  const int64_t n = 90, k = 12;
  const int32_t classes = 3;
  const Clusters p = points(n, classes, 8, 4);
  const auto graph = neighbour_graph(*backend, p.x.view(), k, {});
  ASSERT_TRUE(graph.ok());
  const auto votes = fit_kernel_votes(*backend, *graph, p.label, classes, {}, {.ridge = 0.5, .steps = 200});
  ASSERT_TRUE(votes.ok());

  std::vector<std::vector<double>> kernel(n, std::vector<double>(n, 0.0)), a(n, std::vector<double>(n, 0.0)),
      b(n, std::vector<double>(classes, 0.0));
  for (int64_t i = 0; i < n; ++i) {
    kernel[i][i] = 1;
    for (int64_t j = 0; j < k; ++j) kernel[i][graph->neighbour(i, j)] = power8(graph->similarity(i, j));
  }
  std::vector<double> prior(classes, 0.0);
  for (int32_t l : p.label) prior[l] += 1.0 / static_cast<double>(n);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < n; ++c) a[r][c] += kernel[i][r] * kernel[i][c];
      for (int64_t c = 0; c < classes; ++c) b[r][c] += kernel[i][r] * ((p.label[i] == c) - prior[c]);
    }
    a[r][r] += 0.5;
  }
  solve(a, b);
  for (int64_t c = 0; c < classes; ++c) EXPECT_NEAR(votes->prior[c], prior[c], 1e-6);
  // Condition number below (1 + k)^2 / 0.5 = 338, times float32 sums of 13 terms in each of many steps.
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < classes; ++c) ASSERT_NEAR(votes->vote(i, c), b[i][c], 2e-3) << i << " " << c;
}

TEST(KernelVote, ScoresAreTheStatedSum) {
  const auto backend = testing::cpu();
  const int64_t n = 300, k = 7;
  const int32_t classes = 5;
  const Clusters p = points(n, classes, 8, 5);
  const auto graph = neighbour_graph(*backend, p.x.view(), k, {});
  ASSERT_TRUE(graph.ok());
  const auto votes = fit_kernel_votes(*backend, *graph, p.label, classes, {});
  ASSERT_TRUE(votes.ok());
  Matrix<int32_t> neighbour(n, k);
  std::copy_n(graph->neighbour.data(), n * k, neighbour.data());
  for (int64_t j = 2; j < k; ++j) neighbour(1, j) = -1;  // two neighbours
  for (int64_t j = 0; j < k; ++j) neighbour(2, j) = -1;  // none
  Matrix<float> y(n, classes);
  ASSERT_TRUE(
      kernel_scores(*backend, neighbour.view(), graph->similarity.view(), votes->vote.view(), votes->prior, y.view())
          .ok());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < classes; ++c) {
      double expected = votes->prior[c];
      for (int64_t j = 0; j < k && neighbour(i, j) >= 0; ++j)
        expected += power8(graph->similarity(i, j)) * votes->vote(neighbour(i, j), c);
      ASSERT_NEAR(y(i, c), expected, 1e-5) << i;
    }
  Matrix<float> p_y = y.clone();
  kernel_probabilities(*backend, 9, p_y.view());
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0, total = 0;
    for (int64_t c = 0; c < classes; ++c) sum += std::exp(9.0 * y(i, c));
    for (int64_t c = 0; c < classes; ++c) {
      ASSERT_NEAR(p_y(i, c), std::exp(9.0 * y(i, c)) / sum, 1e-5);
      total += double{p_y(i, c)};
    }
    ASSERT_NEAR(total, 1, 1e-5);
  }
}

TEST(KernelVote, RowsThatAreLeftOutSayNothing) {
  const auto backend = testing::cpu();
  const Clusters p = points(400, 4, 8, 6);
  const auto graph = neighbour_graph(*backend, p.x.view(), 16, {});
  ASSERT_TRUE(graph.ok());
  std::vector<uint8_t> learns(400, 1);
  for (size_t i = 0; i < 400; i += 5) learns[i] = 0;
  const auto votes = fit_kernel_votes(*backend, *graph, p.label, 4, learns);
  // Labels of rows that are left out change nothing.
  std::vector<int32_t> other = p.label;
  for (size_t i = 0; i < 400; i += 5) other[i] = (other[i] + 1) % 4;
  const auto same = fit_kernel_votes(*backend, *graph, other, 4, learns);
  ASSERT_TRUE(votes.ok() && same.ok());
  EXPECT_EQ(std::memcmp(votes->vote.data(), same->vote.data(), sizeof(float) * 1600), 0);
  for (int64_t i = 0; i < 400; i += 5)
    for (int64_t c = 0; c < 4; ++c) ASSERT_EQ(votes->vote(i, c), 0.0f);
}

TEST(KernelVote, Edges) {
  const auto backend = testing::cpu();
  for (int64_t n : {0, 1, 2, 5, 60}) {
    SCOPED_TRACE(n);
    const Clusters p = points(n, 2, 4, 7);
    const auto graph = neighbour_graph(*backend, p.x.view(), 48, {});  // more than there are
    ASSERT_TRUE(graph.ok());
    for (int64_t classes : {2, 3}) {
      const auto votes = fit_kernel_votes(*backend, *graph, p.label, classes, {});
      ASSERT_TRUE(votes.ok());
      for (int64_t i = 0; i < votes->vote.size(); ++i) ASSERT_TRUE(std::isfinite(votes->vote.data()[i]));
    }
    const std::vector<uint8_t> nobody(static_cast<size_t>(n), 0);
    const auto none = fit_kernel_votes(*backend, *graph, p.label, 2, nobody);
    ASSERT_TRUE(none.ok());
  }
  // One label only, and copies of one row.
  Clusters p = points(50, 2, 4, 8);
  for (int64_t i = 0; i < 50; ++i) {
    std::copy_n(p.x.row(0), 4, p.x.row(i));
    p.label[static_cast<size_t>(i)] = 1;
  }
  const auto graph = neighbour_graph(*backend, p.x.view(), 48, {});
  const auto votes = fit_kernel_votes(*backend, *graph, p.label, 2, {});
  ASSERT_TRUE(votes.ok());
  for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(votes->vote.data()[i], 0.0f);  // the prior says it all
}

TEST(KernelVote, RowsOfOneUnitAreNotNeighbours) {
  const auto backend = testing::cpu();
  const Clusters p = points(100, 3, 6, 9);
  std::vector<int32_t> unit(100);
  for (int32_t i = 0; i < 100; ++i) unit[i] = i / 4;
  const auto graph = neighbour_graph(*backend, p.x.view(), 10, unit);
  ASSERT_TRUE(graph.ok());
  for (int64_t i = 0; i < 100; ++i)
    for (int64_t j = 0; j < 10; ++j) {
      ASSERT_GE(graph->neighbour(i, j), 0);
      ASSERT_NE(graph->neighbour(i, j) / 4, i / 4);
    }
}

TEST(KernelVote, SameBytesForAnyNumberOfThreads) {
  const Clusters p = points(1500, 6, 12, 10);
  std::vector<std::vector<char>> found;
  for (const int threads : {1, 2, 5}) {
    const auto backend = testing::cpu(threads);
    const auto graph = neighbour_graph(*backend, p.x.view(), 20, {});
    const auto votes = fit_kernel_votes(*backend, *graph, p.label, 6, {});
    ASSERT_TRUE(votes.ok());
    const char* bytes = reinterpret_cast<const char*>(votes->vote.data());
    found.emplace_back(bytes, bytes + votes->vote.size() * static_cast<int64_t>(sizeof(float)));
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_EQ(found[0], found[2]);
}

}  // namespace
}  // namespace tracer
