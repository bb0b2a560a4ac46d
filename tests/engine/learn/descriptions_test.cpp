#include "engine/learn/descriptions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/challenger.h"
#include "engine/fit.h"
#include "engine/learn/softmax_path.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Clusters;
using testing::clusters;
using testing::cpu;
using testing::traces_of;

// One row along each axis, of length 2; description i is of label[i].
Descriptions axes(std::vector<int32_t> label, int64_t d) {
  Descriptions out{Matrix<float>(static_cast<int64_t>(label.size()), d), std::move(label)};
  for (int64_t i = 0; i < out.x.rows(); ++i) out.x(i, i % d) = 2;
  return out;
}

TEST(Descriptions, OfLabelsThatLearnShowsButFewTimes) {
  const auto backend = cpu();
  const Descriptions all = axes({2, 0, 1, 0, 3}, 8);
  std::vector<int32_t> learned(kEnoughRows - 1, 0);  // few
  learned.insert(learned.end(), kEnoughRows, 1);     // enough
  learned.push_back(2);                              // one; 3 none
  const auto used = useful_descriptions(*backend, &all, learned, 4);
  ASSERT_TRUE(used.ok());
  ASSERT_EQ(kDescriptionWeight, 2);
  EXPECT_EQ(used->label, (std::vector<int32_t>{2, 2, 0, 0, 0, 0}));
  const int axis[] = {0, 0, 1, 1, 3, 3};
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 8; ++j) EXPECT_EQ(used->x(i, j), j == axis[i] ? 1 : 0) << "unit rows";
  EXPECT_EQ(described_labels(*used), 2);
  EXPECT_TRUE(useful_descriptions(*backend, nullptr, learned, 4)->empty());
  EXPECT_TRUE(useful_descriptions(*backend, &all, std::vector<int32_t>(100, 1), 4)->empty());
  EXPECT_EQ(described_labels(Descriptions{}), 0);
  for (const int32_t bad : {-1, 4}) {
    const Descriptions wrong = axes({0, bad}, 8);
    EXPECT_EQ(useful_descriptions(*backend, &wrong, learned, 4).status().code(), ErrorCode::kInternal);
  }
}

TEST(Descriptions, AreTranslatedByName) {
  const Descriptions all = axes({0, 2, 1}, 3);
  const Descriptions there = translate_descriptions(all, {"a", "b", "c"}, {"A", "b", "c"});
  EXPECT_EQ(there.label, (std::vector<int32_t>{2, 1}));
  EXPECT_EQ(there.x(0, 1), 2);
  EXPECT_EQ(there.x(1, 2), 2);
  EXPECT_TRUE(translate_descriptions({}, {"a"}, {"b"}).empty());
}

TEST(Descriptions, AModelThatDoesNotSeeALabelsRowsDoesNotSeeItsDescription) {
  const Clusters log = clusters(6, 3, 4, 0.1, 0, 1);
  const std::vector<int32_t> label = {0, 0, 1, 1, 2, 2}, fold = {0, 1, 1, 1, 0, 2};
  const Descriptions d = axes({1, 0, 2}, 4);
  const DescribedRows rows(log.x.view(), label, fold, &d);
  EXPECT_EQ(std::vector<int32_t>(rows.label().begin(), rows.label().end()),
            (std::vector<int32_t>{0, 0, 1, 1, 2, 2, 1, 0, 2}));
  // Label 1 lies in fold 1 alone; fold 3 is none of the log's.
  EXPECT_EQ(std::vector<int32_t>(rows.fold().begin(), rows.fold().end()),
            (std::vector<int32_t>{0, 1, 1, 1, 0, 2, 1, 3, 3}));
  for (int64_t i = 0; i < 9; ++i)
    for (int64_t j = 0; j < 4; ++j) EXPECT_EQ(rows.x()(i, j), i < 6 ? log.x(i, j) : d.x(i - 6, j));
  const DescribedRows bare(log.x.view(), label, fold, nullptr);
  EXPECT_EQ(bare.x().data, log.x.data()) << "no copy";
  const Descriptions none;
  EXPECT_EQ(DescribedRows(log.x.view(), label, fold, &none).x().data, log.x.data());
}

// Of one row by one of the models, in double precision.
std::vector<double> probabilities(const SoftmaxState& state, int64_t model, int64_t classes,
                                  std::span<const float> row) {
  std::vector<double> p(static_cast<size_t>(classes));
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    double z = state.weights(static_cast<int64_t>(row.size()), model * classes + c);
    for (size_t j = 0; j < row.size(); ++j)
      z += double{row[j]} * double{state.weights(static_cast<int64_t>(j), model * classes + c)};
    sum += p[static_cast<size_t>(c)] = std::exp(z);
  }
  for (double& v : p) v /= sum;
  return p;
}

// Out-of-fold probabilities are of the log's rows alone, each by the model that learned from the other folds' rows and
// from the descriptions.
TEST(Descriptions, OutOfFoldProbabilitiesAreOfTheRowsAlone) {
  constexpr int64_t n = 60, d = 6, kClasses = 4;
  constexpr int kFolds = 3;
  const auto backend = cpu();
  const Clusters log = clusters(n, kClasses, d, 0.5, 0.1, 3);
  std::vector<int32_t> fold(n);
  for (int64_t i = 0; i < n; ++i) fold[static_cast<size_t>(i)] = static_cast<int32_t>(i * kFolds / n);
  const Descriptions words = axes({0, 1, 2, 3}, d);
  const DescribedRows rows(log.x.view(), log.label, fold, &words);
  const SoftmaxData data{rows.x(), rows.label(), kClasses, rows.fold(), nullptr};
  SoftmaxState state = initial_softmax(data, kFolds);
  ASSERT_EQ(state.held_out.size(), 3u) << "no model holds the descriptions out";
  ASSERT_TRUE(minimise_softmax(*backend, data, 10, {1e-5, 200}, state).ok());
  Matrix<float> p(n, kClasses);
  ASSERT_TRUE(out_of_fold_probability(*backend, data, state, p.view()).ok());
  for (int64_t i = 0; i < n; ++i) {
    const auto q = probabilities(state, fold[static_cast<size_t>(i)], kClasses, {log.x.row(i), d});
    for (int64_t c = 0; c < kClasses; ++c) EXPECT_NEAR(p(i, c), q[c], 1e-5) << i << " " << c;
  }
  // The minimum is that of the same rows learned from in any other way: the gradient at it, in double precision.
  for (int m = 0; m < kFolds; ++m) {
    std::vector<double> g(kClasses, 0.0);
    double learned = 0;
    for (int64_t i = 0; i < data.x.rows; ++i) {
      if (rows.fold()[static_cast<size_t>(i)] == m) continue;
      ++learned;
      const auto q = probabilities(state, m, kClasses, {data.x.row(i), d});
      for (int64_t c = 0; c < kClasses; ++c) g[c] += q[c] - (data.label[static_cast<size_t>(i)] == c ? 1 : 0);
    }
    EXPECT_EQ(learned, 40 + 4);
    for (double v : g) EXPECT_NEAR(v / learned, 0, 2e-5);
  }
}

// 60 labels, a handful of rows each; the descriptions are near the labels' centres.
struct Described {
  Clusters log;
  Descriptions words;
};
Described described_log(int64_t n, int32_t classes, int64_t d) {
  Clusters all = clusters(n + 40 * classes, classes, d, 1.4, 0, 7);
  Described out{{Matrix<float>(n, d), {all.label.begin(), all.label.begin() + n}}, {Matrix<float>(classes, d), {}}};
  std::copy_n(all.x.data(), n * d, out.log.x.data());
  for (int64_t i = n; i < all.x.rows(); ++i)
    for (int64_t j = 0; j < d; ++j) out.words.x(all.label[static_cast<size_t>(i)], j) += all.x(i, j);
  out.words.label.resize(static_cast<size_t>(classes));
  std::iota(out.words.label.begin(), out.words.label.end(), 0);
  return out;
}

FitOptions usual(const Descriptions* words) {
  FitOptions o;
  o.alpha = 0.8, o.sweep = {0.9}, o.delta = 0.1;
  o.split.seed = 1;
  o.split.kind = SplitKind::kRows;
  o.descriptions = words;
  return o;
}

FitResult must(const Described& log, int32_t classes, const FitOptions& o, int threads = 1) {
  const auto backend = cpu(threads);
  auto fitted = fit(*backend, traces_of(log.log.label, classes), log.log.x.clone(), o);
  EXPECT_TRUE(fitted.ok()) << fitted.status().message();
  return fitted.ok() ? std::move(fitted).value() : FitResult{};
}

TEST(Descriptions, MakeAFewTracesWorthMore) {
  const Described log = described_log(400, 60, 16);
  const FitResult bare = must(log, 60, usual(nullptr)), told = must(log, 60, usual(&log.words));
  EXPECT_EQ(bare.described, 0);
  EXPECT_GT(told.described, 50);
  EXPECT_GT(told.chosen.agreement, bare.chosen.agreement + 0.05);
  // They are no references, and no part of the split.
  EXPECT_EQ(told.policy.stages[0].neighbours.label, bare.policy.stages[0].neighbours.label);
  EXPECT_EQ(told.split.learn, bare.split.learn);
  EXPECT_EQ(told.policy.certificates[0].n_certify, bare.policy.certificates[0].n_certify);
  // Same bytes for any number of threads.
  const FitResult again = must(log, 60, usual(&log.words), 3);
  const Matrix<float>&w = told.policy.stages[0].softmax.w, &v = again.policy.stages[0].softmax.w;
  EXPECT_TRUE(std::equal(w.data(), w.data() + w.size(), v.data()));
  EXPECT_EQ(told.policy.certificates[0].threshold, again.policy.certificates[0].threshold);
}

// What is learned must not hang on the labels of certify rows: a label that they alone show has no description.
TEST(Descriptions, OfLabelsThatOnlyCertifyRowsShowAreLeftOut) {
  Described log = described_log(300, 10, 8);
  const FitResult first = must(log, 10, usual(nullptr));
  for (const int32_t row : first.split.learn)
    if (log.log.label[static_cast<size_t>(row)] == 9) log.log.label[static_cast<size_t>(row)] = 8;
  log.log.label[static_cast<size_t>(first.split.certify[0])] = 9;
  FitOptions o = usual(&log.words);
  o.given_split = first.split;
  const FitResult with = must(log, 10, o);
  Descriptions others = translate_descriptions(log.words, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                                               {"0", "1", "2", "3", "4", "5", "6", "7", "8"});
  ASSERT_EQ(others.label.size(), 9u);
  o.descriptions = &others;
  const FitResult without = must(log, 10, o);
  const Matrix<float>&w = with.policy.stages[0].softmax.w, &v = without.policy.stages[0].softmax.w;
  EXPECT_TRUE(std::equal(w.data(), w.data() + w.size(), v.data()));
  EXPECT_EQ(with.described, without.described);
  EXPECT_EQ(with.policy.stages[0].softmax.b[9], kRemovedBias);
}

TEST(Descriptions, OfALogWithManyRowsChangeNothing) {
  const Described log = described_log(600, 4, 8);
  const FitResult bare = must(log, 4, usual(nullptr)), told = must(log, 4, usual(&log.words));
  EXPECT_EQ(told.described, 0);
  const Matrix<float>&w = told.policy.stages[0].softmax.w, &v = bare.policy.stages[0].softmax.w;
  EXPECT_TRUE(std::equal(w.data(), w.data() + w.size(), v.data()));
}

TEST(Descriptions, GoWithASampleOfTheRowsToo) {
  const Described log = described_log(900, 60, 16);
  FitOptions o = usual(&log.words);
  o.max_references = 300;
  const FitResult told = must(log, 60, o);
  EXPECT_LE(told.policy.stages[0].neighbours.label.size(), 300u);
  EXPECT_GT(told.described, 50);
  o.descriptions = nullptr;
  EXPECT_GT(told.chosen.agreement, must(log, 60, o).chosen.agreement);
}

TEST(Descriptions, OfAnotherDimensionAreRefused) {
  const Described log = described_log(300, 10, 8);
  const Descriptions wrong = axes({0, 1}, 9);
  const auto backend = cpu();
  const auto r = fit(*backend, traces_of(log.log.label, 10), log.log.x.clone(), usual(&wrong));
  EXPECT_EQ(r.status().code(), ErrorCode::kInternal);
}

TEST(Descriptions, AChallengerLearnsFromThem) {
  const Described log = described_log(500, 60, 16);
  const auto backend = cpu();
  ChallengerOptions o;
  o.alpha = 0.8, o.level = 0.1;
  o.unit = SplitKind::kRows;
  const std::vector<uint8_t> fair(500, 1);
  const auto coverage = [&](const Descriptions* words) {
    o.descriptions = words;
    auto frozen = freeze_challenger(*backend, traces_of(log.log.label, 60), log.log.x.clone(), fair, o);
    EXPECT_TRUE(frozen.ok()) << frozen.status().message();
    return frozen.ok() ? frozen->policy.certificates[0].expected_coverage : -1;
  };
  const double bare = coverage(nullptr);
  EXPECT_GT(coverage(&log.words), bare);
}

}  // namespace
}  // namespace tracer
