#include "engine/log/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "engine/fit.h"
#include "engine/policy/router.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::traces_of;

TEST(Sample, EverythingWhereItFits) {
  const std::vector<int32_t> unit = {0, 0, 1, 2}, fold = {0, 0, 1, 0};
  EXPECT_EQ(sample_units(unit, fold, 4, 1), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(sample_units({}, {}, 4, 1).empty());
}

TEST(Sample, WholeUnitsUpToTheMostEachAsLikely) {
  std::vector<int32_t> unit, fold;
  for (int32_t i = 0; i < 2000; ++i) unit.push_back(i / 20), fold.push_back(i / 20 % 5);
  std::vector<int64_t> taken(100, 0);
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const auto sample = sample_units(unit, fold, 510, seed);
    ASSERT_EQ(sample.size(), 500u);  // 25 units of 20; another would be too many
    ASSERT_TRUE(std::is_sorted(sample.begin(), sample.end()));
    for (size_t i = 0; i < sample.size(); i += 20) {
      ASSERT_EQ(sample[i] % 20, 0);
      ASSERT_EQ(sample[i + 19], sample[i] + 19);
      ++taken[sample[i] / 20];
    }
    ASSERT_EQ(sample, sample_units(unit, fold, 510, seed));
  }
  for (int64_t t : taken) EXPECT_NEAR(static_cast<double>(t), 100, 5 * std::sqrt(400 * 0.25 * 0.75));
}

TEST(Sample, HasTwoFoldsAndAtLeastHalfTheRowsHoweverLargeTheUnits) {
  // Unit 0 is 900 of 1000 rows.
  std::vector<int32_t> unit(900, 0), fold(900, 0);
  for (int32_t i = 0; i < 100; ++i) unit.push_back(1 + i), fold.push_back(1 + i % 2);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto sample = sample_units(unit, fold, 300, seed);
    EXPECT_GE(sample.size(), 150u);
    std::set<int32_t> folds;
    for (int32_t i : sample) folds.insert(fold[i]);
    EXPECT_GE(folds.size(), 2u);
  }
}

TEST(Sample, PermutesRowsInPlace) {
  for (int64_t n : {0, 1, 2, 7, 1000}) {
    Matrix<float> x(n, 3);
    for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
    const Matrix<float> before = x.clone();
    const auto order = Random(3, Stream::kPermute).permutation(n);
    permute_rows(x, order);
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(std::memcmp(x.row(i), before.row(order[i]), 3 * sizeof(float)), 0);
  }
}

FitOptions capped(int64_t most) {
  FitOptions o;
  o.alpha = 0.9;
  o.sweep = {0.8, 0.95};
  o.split.seed = 1;
  o.max_references = most;
  return o;
}

TEST(Sample, ACappedFitLearnsFromAllRowsAndLooksUpAmongTheSample) {
  const Clusters log = clusters(4000, 5, 16, 0.5, 0.02, 1);
  for (SplitKind kind : {SplitKind::kRows, SplitKind::kRuns}) {
    FitOptions o = capped(500);
    o.split.kind = kind;
    const auto one = cpu(1), two = cpu(2);
    auto r = fit(*one, traces_of(log.label, 5), log.x.clone(), o);
    ASSERT_TRUE(r.ok()) << r.status().message();
    const Stage& s = r->policy.stages[0];
    const int64_t references = s.neighbours.references.rows();
    EXPECT_LE(references, 500);
    EXPECT_GT(references, 450);
    EXPECT_EQ(s.kernel.vote.rows(), references);
    EXPECT_TRUE(r->policy.certificate(0.9)->certified) << r->policy.certificate(0.9)->reason;
    EXPECT_EQ(r->policy.certificate(0.9)->n_learn, static_cast<int64_t>(r->split.learn.size()));
    // References are learn rows of the log with their own labels.
    const std::set<int32_t> learn(r->split.learn.begin(), r->split.learn.end());
    Matrix<float> x = log.x.clone();
    ASSERT_TRUE(one->normalise_rows(x.view()).ok());
    for (int64_t i = 0; i < references; ++i) {
      const int64_t row = s.neighbours.row[i];
      ASSERT_TRUE(learn.contains(static_cast<int32_t>(row)));
      ASSERT_EQ(s.neighbours.label[i], log.label[row]);
      ASSERT_EQ(std::memcmp(s.neighbours.references.row(i), x.row(row), 16 * sizeof(float)), 0);
    }
    // The certificate counts what the policy handles: the right vectors were scored.
    std::vector<RowScore> scored;
    ASSERT_TRUE(score_rows(*one, s, x.view(), scored).ok());
    const Certificate& c = *r->policy.certificate(0.9);
    int64_t handled = 0, agree = 0;
    for (int32_t row : r->split.certify)
      if (decide(scored[row], decision_rule(r->policy, c)) == Reason::kAccepted)
        ++handled, agree += scored[row].features.label == log.label[row];
    EXPECT_EQ(handled, c.n_handled);
    EXPECT_EQ(agree, c.n_agree);
    auto same = fit(*two, traces_of(log.label, 5), log.x.clone(), o);
    ASSERT_TRUE(same.ok());
    const Stage& t = same->policy.stages[0];
    EXPECT_EQ(std::memcmp(s.softmax.w.data(), t.softmax.w.data(), sizeof(float) * s.softmax.w.size()), 0);
    EXPECT_EQ(s.neighbours.row, t.neighbours.row);
    EXPECT_EQ(s.acceptor.coef, t.acceptor.coef);
    EXPECT_EQ(c.threshold, same->policy.certificate(0.9)->threshold);
  }
}

TEST(Sample, ACapThatDoesNotBindChangesNothing) {
  const Clusters log = clusters(1000, 3, 8, 0.6, 0.02, 2);
  const auto backend = cpu();
  auto a = fit(*backend, traces_of(log.label, 3), log.x.clone(), capped(1000));
  auto b = fit(*backend, traces_of(log.label, 3), log.x.clone(), capped(100000));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->policy.stages[0].neighbours.row, b->policy.stages[0].neighbours.row);
  EXPECT_EQ(a->policy.stages[0].acceptor.coef, b->policy.stages[0].acceptor.coef);
  EXPECT_EQ(fit(*backend, traces_of(log.label, 3), log.x.clone(), capped(99)).status().code(), ErrorCode::kBadInput);
}

TEST(Sample, LabelsOutsideTheSampleCanStillBeAnswered) {
  // Label 2 is rare: 100 rows of 6000, mostly outside of 400 sampled ones.
  Clusters log = clusters(6000, 3, 16, 0.4, 0, 5);
  for (int64_t i = 0; i < 6000; ++i)
    if (log.label[i] == 2 && i % 20 != 0) {
      std::copy_n(log.x.row((i + 1) % 6000), 16, log.x.row(i));
      log.label[i] = log.label[(i + 1) % 6000];
    }
  const auto backend = cpu();
  auto r = fit(*backend, traces_of(log.label, 3), log.x.clone(), capped(400));
  ASSERT_TRUE(r.ok());
  std::vector<RowScore> scored;
  ASSERT_TRUE(score_rows(*backend, r->policy.stages[0], log.x.view(), scored).ok());
  int64_t answered = 0;
  for (const RowScore& s : scored) answered += s.features.label == 2;
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace tracer
