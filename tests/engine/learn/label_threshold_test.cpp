#include "engine/learn/label_threshold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/fit.h"
#include "engine/maths/logistic.h"
#include "engine/policy/router.h"
#include "engine/prove/certify.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::Draws;
using testing::kSlower;
using testing::traces_of;
using testing::violates;

struct Rows {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
  std::vector<int32_t> predicted, fold;
};

// Six labels; the score says p for all of them, and the truth is better or worse by a shift of the label's own.
Rows draw(int64_t n, Draws& draws) {
  constexpr double kShift[] = {2, 1, 0, 0, -1, -2};
  Rows rows;
  for (int64_t i = 0; i < n; ++i) {
    const auto label = static_cast<int32_t>(draws.below(6));
    const double z = 2.2 + 1.2 * draws.normal();
    rows.score.push_back(sigmoid(z));
    rows.disagree.push_back(draws.uniform() >= sigmoid(z + kShift[label]));
    rows.predicted.push_back(label);
    rows.fold.push_back(static_cast<int32_t>(i % 5));
  }
  return rows;
}

TEST(LabelThreshold, OffsetsAreWhereTheSlopeIsZero) {
  Draws draws(3);
  const Rows rows = draw(3000, draws);
  const auto offset = fit_label_offsets(rows.score, rows.disagree, rows.predicted, {}, 7, 2.0);
  ASSERT_EQ(offset.size(), 7u);
  EXPECT_EQ(offset[6], 0);  // no row
  for (int32_t label = 0; label < 6; ++label) {
    double slope = 2.0 * offset[static_cast<size_t>(label)];
    for (size_t i = 0; i < rows.score.size(); ++i)
      if (rows.predicted[i] == label)
        slope += 1 / (1 + std::exp(-(logit(rows.score[i]) + offset[static_cast<size_t>(label)]))) - !rows.disagree[i];
    EXPECT_NEAR(slope, 0, 1e-8) << label;
  }
  EXPECT_GT(offset[0], 0.5);
  EXPECT_LT(offset[5], -1.5);
}

TEST(LabelThreshold, CrossFittedScoresDoNotKnowTheirOwnFold) {
  Draws draws(4);
  Rows rows = draw(500, draws);
  const auto before = cross_fitted_scores(rows.score, rows.disagree, rows.predicted, rows.fold, 5, 6, 1);
  for (size_t i = 0; i < rows.fold.size(); ++i)
    if (rows.fold[i] == 2) rows.disagree[i] ^= 1;
  const auto after = cross_fitted_scores(rows.score, rows.disagree, rows.predicted, rows.fold, 5, 6, 1);
  int64_t moved = 0;
  for (size_t i = 0; i < rows.fold.size(); ++i) {
    if (rows.fold[i] == 2) {
      EXPECT_EQ(before[i], after[i]) << i;
    } else {
      moved += before[i] != after[i];
    }
  }
  EXPECT_GT(moved, 200);
}

// The promise on resampled pools: offsets are learned, then certified on draws from the same traffic. True agreement
// above the certified threshold is read off a pool of 200,000 rows.
TEST(LabelThreshold, CertificatesHoldAndCoverMoreWhereLabelsDiffer) {
  constexpr double kAlpha = 0.9, kDelta = 0.1;
  Draws draws(11);
  const Rows pool = draw(200000 / kSlower, draws);
  int64_t false_ones = 0, trials = 0;
  double covered = 0, covered_by_one = 0;
  const auto trained = 4, resamples = static_cast<int>(250 / kSlower);
  CertifyOptions options;
  options.delta = kDelta;
  for (int t = 0; t < trained; ++t) {
    const Rows learn = draw(1500, draws);
    const auto offset = fit_label_offsets(learn.score, learn.disagree, learn.predicted, {}, 6, 3);
    std::vector<int32_t> unit(learn.score.size());
    for (size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<int32_t>(i);
    const std::vector<uint8_t> none(learn.score.size(), 0);
    const auto planned = cross_fitted_scores(learn.score, learn.disagree, learn.predicted, learn.fold, 5, 6, 3);
    const Certifier by_label({planned, learn.disagree, none, unit, 0}, ProofUnit::kRows, options, 500, 500, 1);
    const Certifier by_one({learn.score, learn.disagree, none, unit, 0}, ProofUnit::kRows, options, 500, 500, 1);
    // The pool by score, and the disagreements from each place on.
    std::vector<std::pair<double, uint8_t>> ordered;
    for (size_t i = 0; i < pool.score.size(); ++i)
      ordered.emplace_back(offset_score(pool.score[i], offset[static_cast<size_t>(pool.predicted[i])]),
                           pool.disagree[i]);
    std::sort(ordered.begin(), ordered.end());
    std::vector<double> sorted;
    std::vector<int64_t> wrong_from(ordered.size() + 1, 0);
    for (const auto& [score, wrong] : ordered) sorted.push_back(score);
    for (size_t i = ordered.size(); i-- > 0;) wrong_from[i] = wrong_from[i + 1] + ordered[i].second;
    for (int r = 0; r < resamples; ++r, ++trials) {
      CertifySide side, plain;
      for (int i = 0; i < 500; ++i) {
        const auto row = static_cast<size_t>(draws.below(static_cast<int64_t>(pool.score.size())));
        side.score.push_back(offset_score(pool.score[row], offset[static_cast<size_t>(pool.predicted[row])]));
        plain.score.push_back(pool.score[row]);
        side.disagree.push_back(pool.disagree[row]);
      }
      side.gated.assign(500, 0);
      plain.disagree = side.disagree, plain.gated = side.gated;
      const Certificate c = by_label.certify(side, kAlpha), one = by_one.certify(plain, kAlpha);
      if (one.certified) covered_by_one += static_cast<double>(one.n_handled) / 500;
      if (!c.certified) continue;
      covered += static_cast<double>(c.n_handled) / 500;
      // Rows are drawn from the pool with replacement: its own agreement above the threshold is the truth.
      const auto first = std::upper_bound(sorted.begin(), sorted.end(), c.threshold) - sorted.begin();
      const auto handled = static_cast<double>(sorted.size()) - static_cast<double>(first);
      false_ones += static_cast<double>(wrong_from[static_cast<size_t>(first)]) > (1 - kAlpha) * handled;
    }
  }
  EXPECT_FALSE(violates(false_ones, trials, kDelta, 0.01)) << false_ones << " of " << trials;
  EXPECT_GT(covered, covered_by_one);
}

TEST(LabelThreshold, AFitServesThemAndSaysSo) {
  // Two labels are mixed up within one cluster, the others are clear: some labels deserve less trust.
  Clusters log = clusters(4000, 6, 12, 1.1, 0.0, 5);
  Draws draws(6);
  for (size_t i = 0; i < log.label.size(); ++i)
    if (log.label[i] == 0 && draws.uniform() < 0.4) log.label[i] = 1;
  FitOptions o;
  o.alpha = 0.9, o.sweep = {0.95}, o.delta = 0.1, o.choices.label_thresholds = true;
  const auto backend = cpu();
  std::string said;
  auto made = fit(*backend, traces_of(log.label, 6), log.x.clone(), o, [&](const std::string& s) { said += s + "\n"; });
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_NE(said.find("thresholds by label: out-of-fold coverage"), std::string::npos) << said;
  const Stage& stage = made->policy.stages[0];
  for (const Certificate& c : made->policy.certificates) {
    if (!c.certified || !(c.threshold > 0)) continue;
    EXPECT_EQ(c.method, stage.acceptor.label_offset.empty() ? Method::kL2d : Method::kL2dLabel);
  }
  o.choices.label_thresholds = false;
  auto plain = fit(*backend, traces_of(log.label, 6), log.x.clone(), o);
  ASSERT_TRUE(plain.ok());
  EXPECT_TRUE(plain->policy.stages[0].acceptor.label_offset.empty());
}

}  // namespace
}  // namespace tracer
