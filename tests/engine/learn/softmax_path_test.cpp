#include "engine/learn/softmax_path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;
using testing::Draws;

// The objective in double precision, from its definition; gradient optional. w: (d + 1) x classes, row-major.
double objective(const SoftmaxData& data, int held_out, double cost, const std::vector<double>& w,
                 std::vector<double>* g) {
  const int64_t d = data.x.cols, classes = data.classes;
  std::vector<uint8_t> seen(classes, 0);
  int64_t n = 0;
  for (int64_t i = 0; i < data.x.rows; ++i)
    if (data.fold[i] != held_out) seen[data.label[i]] = 1, ++n;
  if (g != nullptr) g->assign(w.size(), 0.0);
  double loss = 0;
  std::vector<double> z(classes);
  for (int64_t i = 0; i < data.x.rows; ++i) {
    if (data.fold[i] == held_out) continue;
    double top = -1e300, sum = 0;
    for (int64_t c = 0; c < classes; ++c) {
      z[c] = w[d * classes + c];
      for (int64_t j = 0; j < d; ++j) z[c] += data.x(i, j) * w[j * classes + c];
      if (seen[c]) top = std::max(top, z[c]);
    }
    for (int64_t c = 0; c < classes; ++c) sum += seen[c] ? std::exp(z[c] - top) : 0;
    loss += (top + std::log(sum) - z[data.label[i]]) / static_cast<double>(n);
    if (g == nullptr) continue;
    for (int64_t c = 0; c < classes; ++c) {
      if (!seen[c]) continue;
      const double r = (std::exp(z[c] - top) / sum - (data.label[i] == c)) / static_cast<double>(n);
      for (int64_t j = 0; j < d; ++j) (*g)[j * classes + c] += r * data.x(i, j);
      (*g)[d * classes + c] += r;
    }
  }
  const double ridge = 1 / (cost * static_cast<double>(n));
  for (int64_t k = 0; k < d * classes; ++k) {
    loss += 0.5 * ridge * w[k] * w[k];
    if (g != nullptr) (*g)[k] += ridge * w[k];
  }
  return loss;
}

// Plain gradient descent with backtracking: slow and hard to get wrong.
double descend(const SoftmaxData& data, int held_out, double cost, int steps) {
  std::vector<double> w((data.x.cols + 1) * data.classes, 0.0), g, next(w.size());
  double value = objective(data, held_out, cost, w, &g), length = 1;
  for (int step = 0; step < steps; ++step) {
    double slope = 0;
    for (double v : g) slope += v * v;
    if (slope < 1e-18) break;
    for (length *= 2;; length /= 2) {
      for (size_t k = 0; k < w.size(); ++k) next[k] = w[k] - length * g[k];
      if (objective(data, held_out, cost, next, nullptr) <= value - 0.3 * length * slope || length < 1e-12) break;
    }
    std::swap(w, next);
    value = objective(data, held_out, cost, w, &g);
  }
  return value;
}

std::vector<double> weights_of(const SoftmaxState& state, int64_t model, int64_t classes) {
  std::vector<double> w;
  for (int64_t r = 0; r < state.weights.rows(); ++r)
    for (int64_t c = 0; c < classes; ++c) w.push_back(state.weights(r, model * classes + c));
  return w;
}

struct Problem {
  Matrix<float> x;
  std::vector<int32_t> label, fold;
  int64_t classes;
  SoftmaxData data() const { return {x.view(), label, classes, fold}; }
};

Problem problem(int64_t n, int32_t classes, int64_t d, int folds, uint64_t seed) {
  auto c = clusters(n, classes, d, 0.8, 0.1, seed);
  Problem p{std::move(c.x), std::move(c.label), {}, classes};
  for (int64_t i = 0; i < n; ++i) p.fold.push_back(static_cast<int32_t>(i % std::max(1, folds)));
  return p;
}

TEST(SoftmaxPath, ReachesTheMinimumOfANaiveOracle) {
  const auto backend = cpu();
  for (const auto& [n, classes, d, folds] :
       {std::tuple<int64_t, int32_t, int64_t, int>{60, 3, 4, 2}, {90, 5, 7, 3}, {40, 2, 1, 2}})
    for (double cost : {1.0, 10.0}) {
      const Problem p = problem(n, classes, d, folds, 17);
      SoftmaxState state = initial_softmax(p.data(), folds);
      ASSERT_TRUE(minimise_softmax(*backend, p.data(), cost, {}, state).ok());
      ASSERT_EQ(state.objective.size(), static_cast<size_t>(folds));
      for (int m = 0; m < folds; ++m) {
        SCOPED_TRACE(::testing::Message() << n << " rows, " << classes << " classes, model " << m << ", cost " << cost);
        EXPECT_FALSE(!(state.gradient_norm[m] <= SoftmaxOptions{}.tolerance)) << state.gradient_norm[m];
        std::vector<double> g;
        const double here = objective(p.data(), m, cost, weights_of(state, m, classes), &g);
        double norm = 0;
        for (double v : g) norm += v * v;
        // float32 weights and sums: the claimed gradient is this one within about 1e-6 a component.
        EXPECT_FALSE(!(std::sqrt(norm) <= SoftmaxOptions{}.tolerance + 1e-5)) << std::sqrt(norm);
        EXPECT_FALSE(!(std::abs(here - state.objective[m]) <= 1e-5 * (1 + here))) << here << " " << state.objective[m];
        const double best = descend(p.data(), m, cost, 4000);
        EXPECT_FALSE(!(here <= best + 2e-5)) << here << " against " << best;
      }
    }
}

TEST(SoftmaxPath, TheWarmStartedPathEndsWhereAColdStartDoes) {
  const auto backend = cpu();
  const Problem p = problem(300, 6, 12, 3, 5);
  SoftmaxState warm = initial_softmax(p.data(), 3), cold = initial_softmax(p.data(), 3);
  for (double cost : {1.0, 10.0, 100.0}) ASSERT_TRUE(minimise_softmax(*backend, p.data(), cost, {}, warm).ok());
  ASSERT_TRUE(minimise_softmax(*backend, p.data(), 100.0, {}, cold).ok());
  for (int m = 0; m < 3; ++m) EXPECT_FALSE(!(std::abs(warm.objective[m] - cold.objective[m]) <= 1e-4)) << m;
}

TEST(SoftmaxPath, AModelOfAllRows) {
  const auto backend = cpu();
  const Problem p = problem(120, 4, 6, 3, 9);
  SoftmaxState state = initial_softmax(p.data(), 0);
  ASSERT_EQ(state.held_out, std::vector<int32_t>{-1});
  ASSERT_TRUE(minimise_softmax(*backend, p.data(), 10, {}, state).ok());
  const double best = descend(p.data(), -1, 10, 4000);
  EXPECT_FALSE(!(objective(p.data(), -1, 10, weights_of(state, 0, 4), nullptr) <= best + 2e-5));
}

// A class that fold m alone holds is unknown to model m: its index stays, its probability is exactly 0.
TEST(SoftmaxPath, AClassMissingFromAFoldKeepsItsIndex) {
  const auto backend = cpu();
  Problem p = problem(200, 5, 8, 4, 3);
  for (int64_t i = 0; i < 200; ++i)
    if (p.label[i] == 2) p.fold[i] = 1;
  SoftmaxState state = initial_softmax(p.data(), 4);
  EXPECT_EQ(state.weights(8, 1 * 5 + 2), kRemovedBias);
  ASSERT_TRUE(minimise_softmax(*backend, p.data(), 10, {}, state).ok());
  EXPECT_EQ(state.weights(8, 1 * 5 + 2), kRemovedBias);
  for (int64_t r = 0; r < 8; ++r) EXPECT_EQ(state.weights(r, 1 * 5 + 2), 0.0f);
  Matrix<float> probability(200, 5);
  ASSERT_TRUE(out_of_fold_probability(*backend, p.data(), state, probability.view()).ok());
  for (int64_t i = 0; i < 200; ++i) {
    double sum = 0;
    for (int64_t c = 0; c < 5; ++c) {
      ASSERT_TRUE(probability(i, c) >= 0 && probability(i, c) <= 1);
      sum += probability(i, c);
    }
    EXPECT_FALSE(!(std::abs(sum - 1) <= 1e-5)) << i;
    if (p.fold[i] == 1) {
      EXPECT_EQ(probability(i, 2), 0.0f) << i;
    } else {
      EXPECT_GT(probability(i, 2), 0.0f) << i;
    }
  }
}

TEST(SoftmaxPath, DegenerateShapes) {
  const auto backend = cpu();
  struct Row {
    int64_t n;
    int32_t classes;
    int64_t d;
    int folds;
  };
  for (const Row& r : {Row{10, 1, 3, 2}, Row{5, 40, 3, 2}, Row{2, 2, 3, 2}, Row{50, 2, 60, 5}, Row{33, 17, 1, 3}}) {
    SCOPED_TRACE(::testing::Message() << r.n << " rows, " << r.classes << " classes, d " << r.d);
    Problem p = problem(r.n, r.classes, r.d, r.folds, 1);
    if (r.n == 2) p.label = {0, 1};
    SoftmaxState state = initial_softmax(p.data(), r.folds);
    ASSERT_TRUE(minimise_softmax(*backend, p.data(), 1000, {}, state).ok());
    for (int64_t k = 0; k < state.weights.size(); ++k) ASSERT_TRUE(std::isfinite(state.weights.data()[k]));
    for (double v : state.objective) EXPECT_TRUE(std::isfinite(v));
    Matrix<float> probability(r.n, r.classes);
    ASSERT_TRUE(out_of_fold_probability(*backend, p.data(), state, probability.view()).ok());
    for (int64_t k = 0; k < probability.size(); ++k) ASSERT_TRUE(std::isfinite(probability.data()[k]));
    if (r.classes == 1) {
      for (int64_t i = 0; i < r.n; ++i) EXPECT_EQ(probability(i, 0), 1.0f);
    }
  }
}

TEST(SoftmaxPath, RowsThatAreAllEqual) {
  const auto backend = cpu();
  Problem p = problem(80, 4, 5, 4, 1);
  for (int64_t i = 0; i < 80; ++i) std::copy_n(p.x.row(0), 5, p.x.row(i));
  SoftmaxState state = initial_softmax(p.data(), 4);
  ASSERT_TRUE(minimise_softmax(*backend, p.data(), 100, {}, state).ok());
  for (double v : state.objective) EXPECT_TRUE(v > 0 && v <= std::log(4) + 1e-4) << v;
}

// Their Gram matrix has rank one (or a few), rounded to float32, and the mean row lies in it: with many rows and labels
// the ridge is far below the rounding. This ended in "not positive definite".
TEST(SoftmaxPath, ManyRowsInAPlane) {
  const auto backend = cpu();
  for (int64_t rank : {1, 2, 3})
    for (int64_t d : {4, 48})
      for (int32_t classes : {2, 20}) {
        SCOPED_TRACE(::testing::Message() << "rank " << rank << ", d " << d << ", " << classes << " classes");
        Problem p = problem(15'000 / testing::kSlower, classes, d, 3, 1);
        const int64_t n = p.x.rows();
        for (int64_t i = rank; i < n; ++i) std::copy_n(p.x.row(i % rank), d, p.x.row(i));
        SoftmaxState state = initial_softmax(p.data(), 3);
        for (double cost : {1.0, 1000.0}) {
          const Status status = minimise_softmax(*backend, p.data(), cost, {}, state);
          ASSERT_TRUE(status.ok()) << status.message();
          for (int64_t m = 0; m < 3; ++m) {
            EXPECT_TRUE(state.objective[m] > 0 && state.objective[m] <= std::log(classes) + 1e-4);
            EXPECT_LE(state.gradient_norm[m], 1e-3) << "model " << m;
          }
        }
      }
}

TEST(SoftmaxPath, MomentsGivenAndMomentsComputedAreTheSame) {
  const auto backend = cpu();
  const Problem p = problem(300, 5, 17, 3, 2);
  const auto moments = row_moments(*backend, p.x.view());
  ASSERT_TRUE(moments.ok());
  double sum = 0;
  for (int64_t i = 0; i < 300; ++i) sum += p.x(i, 3);
  EXPECT_NEAR(moments->mean[3], sum / 300, 1e-12);
  SoftmaxData given = p.data();
  given.moments = &*moments;
  SoftmaxState a = initial_softmax(p.data(), 3), b = initial_softmax(given, 3);
  ASSERT_TRUE(minimise_softmax(*backend, p.data(), 10, {}, a).ok());
  ASSERT_TRUE(minimise_softmax(*backend, given, 10, {}, b).ok());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), static_cast<size_t>(a.weights.size()) * sizeof(float)), 0);
}

TEST(SoftmaxPath, VectorsThatAreNotFiniteAreAnError) {
  const auto backend = cpu();
  Problem p = problem(60, 3, 5, 3, 1);
  p.x(7, 2) = NAN;
  SoftmaxState state = initial_softmax(p.data(), 3);
  EXPECT_EQ(minimise_softmax(*backend, p.data(), 10, {}, state).code(), ErrorCode::kInternal);
}

TEST(SoftmaxPath, SameBytesForOneAndTwoThreads) {
  const auto one = cpu(1), two = cpu(2);
  const Problem p = problem(500, 11, 33, 5, 2);
  SoftmaxState a = initial_softmax(p.data(), 5), b = initial_softmax(p.data(), 5);
  for (double cost : {1.0, 100.0}) {
    ASSERT_TRUE(minimise_softmax(*one, p.data(), cost, {}, a).ok());
    ASSERT_TRUE(minimise_softmax(*two, p.data(), cost, {}, b).ok());
    EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), static_cast<size_t>(a.weights.size()) * sizeof(float)),
              0);
    EXPECT_EQ(a.objective, b.objective);
    EXPECT_EQ(a.iterations, b.iterations);
  }
}

}  // namespace
}  // namespace tracer
