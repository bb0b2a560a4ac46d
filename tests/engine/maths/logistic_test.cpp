#include "engine/maths/logistic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

struct Problem {
  Matrix<double> design;
  std::vector<uint8_t> outcome;
  std::vector<double> ridge;
};

Problem problem(int64_t n, int64_t p, uint64_t seed) {
  Draws draws(seed);
  Problem out{Matrix<double>(n, p), {}, std::vector<double>(p, 0.5)};
  for (int64_t i = 0; i < n; ++i) {
    double z = 0.3;
    for (int64_t j = 0; j < p; ++j) {
      out.design(i, j) = j == 0 ? 1.0 : draws.normal();
      z += (j % 2 == 0 ? 1.0 : -0.7) * out.design(i, j);
    }
    out.outcome.push_back(draws.uniform() < 1 / (1 + std::exp(-z)));
  }
  return out;
}

// The gradient, from its definition.
double gradient_norm(const Problem& q, const std::vector<double>& coef) {
  std::vector<double> g(coef.size());
  for (size_t j = 0; j < coef.size(); ++j) g[j] = q.ridge[j] * coef[j];
  for (int64_t i = 0; i < q.design.rows(); ++i) {
    double z = 0;
    for (size_t j = 0; j < coef.size(); ++j) z += q.design(i, static_cast<int64_t>(j)) * coef[j];
    const double r = 1 / (1 + std::exp(-z)) - q.outcome[i];
    for (size_t j = 0; j < coef.size(); ++j) g[j] += r * q.design(i, static_cast<int64_t>(j));
  }
  double sum = 0;
  for (double v : g) sum += v * v;
  return std::sqrt(sum);
}

void expect_minimum(const Problem& q, double tolerance) {
  const LogisticFit fit = fit_logistic(q.design.view(), q.outcome, q.ridge);
  ASSERT_EQ(static_cast<int64_t>(fit.coef.size()), q.design.cols());
  for (double c : fit.coef) ASSERT_TRUE(std::isfinite(c));
  const double norm = gradient_norm(q, fit.coef);
  EXPECT_FALSE(!(norm <= tolerance)) << norm;
  ASSERT_EQ(fit.hessian_chol.rows(), q.design.cols());
  for (int64_t j = 0; j < q.design.cols(); ++j) EXPECT_TRUE(fit.hessian_chol(j, j) > 0);
}

TEST(Logistic, GradientIsZeroAtTheOptimum) {
  for (uint64_t seed = 0; seed < 5; ++seed)
    for (int64_t n : {1, 2, 5, 50, 2000})
      for (int64_t p : {1, 2, 6, 11}) {
        SCOPED_TRACE(::testing::Message() << "n " << n << " p " << p);
        // Newton stops when it expects to gain less than 1e-12 of the loss: the gradient is then of the square root.
        expect_minimum(problem(n, p, seed), 2e-4 * std::sqrt(1.0 + static_cast<double>(n)));
      }
}

TEST(Logistic, DegenerateData) {
  Problem q = problem(200, 3, 1);
  for (int64_t i = 0; i < 200; ++i) q.outcome[i] = q.design(i, 1) > 0;  // separable
  expect_minimum(q, 1e-3);
  std::fill(q.outcome.begin(), q.outcome.end(), uint8_t{1});  // one class
  expect_minimum(q, 1e-3);
  for (int64_t i = 0; i < 200; ++i) q.design(i, 2) = q.design(i, 1);  // the same column twice
  expect_minimum(q, 1e-3);
  for (int64_t i = 0; i < 200; ++i) q.design(i, 2) = 1e4 * q.design(i, 1);  // badly scaled
  const LogisticFit fit = fit_logistic(q.design.view(), q.outcome, q.ridge);
  for (double c : fit.coef) EXPECT_TRUE(std::isfinite(c));
}

TEST(Logistic, NoRowsGiveThePrior) {
  const Matrix<double> none(0, 3);
  const std::vector<double> ridge = {0.25, 1, 4};
  const LogisticFit fit = fit_logistic(none.view(), {}, ridge);
  EXPECT_EQ(fit.coef, (std::vector<double>{0, 0, 0}));
  for (int64_t j = 0; j < 3; ++j) EXPECT_DOUBLE_EQ(fit.hessian_chol(j, j), std::sqrt(ridge[j]));
}

TEST(Logistic, CholeskySolves) {
  Draws draws(9);
  for (int64_t n : {1, 2, 5, 20}) {
    Matrix<double> root(n, n), a(n, n);
    for (int64_t i = 0; i < n * n; ++i) root.data()[i] = draws.normal();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        a(i, j) = i == j ? 0.1 : 0.0;
        for (int64_t k = 0; k < n; ++k) a(i, j) += root(i, k) * root(j, k);
      }
    std::vector<double> want(n), b(n, 0.0);
    for (double& w : want) w = draws.normal();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) b[i] += a(i, j) * want[j];
    Matrix<double> factor = a.clone();
    ASSERT_TRUE(cholesky_factor(factor));
    cholesky_solve(factor, b);
    for (int64_t i = 0; i < n; ++i) EXPECT_FALSE(!(std::abs(b[i] - want[i]) <= 1e-8)) << n;
  }
  Matrix<double> indefinite(2, 2);
  indefinite(0, 0) = 1, indefinite(1, 0) = 2, indefinite(1, 1) = 1;
  EXPECT_FALSE(cholesky_factor(indefinite));
}

TEST(Logistic, LinksAreFiniteAndInverse) {
  for (double p : {0.0, 1e-12, 1e-6, 0.3, 0.5, 0.99, 1.0}) {
    EXPECT_TRUE(std::isfinite(logit(p)));
    if (p > 1e-9 && p < 1 - 1e-9) {
      EXPECT_FALSE(!(std::abs(sigmoid(logit(p)) - p) <= 1e-12));
    }
  }
  EXPECT_EQ(sigmoid(-1e4), 0);
  EXPECT_EQ(sigmoid(1e4), 1);
}

}  // namespace
}  // namespace tracer
