#include "engine/prove/label_floor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "engine/fit.h"
#include "engine/policy/router.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::Draws;
using testing::traces_of;

struct Rows {
  LearnSide learn;
  std::vector<int32_t> predicted;
  void add(int32_t label, double score, bool agrees, bool gated = false) {
    learn.score.push_back(score), learn.disagree.push_back(!agrees), learn.gated.push_back(gated);
    learn.unit.push_back(static_cast<int32_t>(predicted.size()));
    predicted.push_back(label);
  }
};

std::vector<int32_t> labels_of(const LabelFloor& floor) {
  std::vector<int32_t> labels;
  for (const FlooredLabel& f : floor.below) labels.push_back(f.label);
  return labels;
}

TEST(LabelFloor, KeepsWhatIsShownAndNamesTheFiguresOfTheRest) {
  Rows rows;
  for (int i = 0; i < 100; ++i) {
    rows.add(0, 0.9, true);              // shown
    rows.add(1, 0.9, i % 2 == 0);        // half agree
    if (i < 20) rows.add(2, 0.9, true);  // 29 agreeing rows are the fewest for 0.9 at 0.05
    rows.add(3, 0.9, true, true);        // gated: shows nothing
  }
  const LabelFloor floor = plan_label_floor(rows.learn, rows.predicted, 5, 0.9, 0.9, 0.05);
  EXPECT_EQ(labels_of(floor), (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(floor.below[0].handled, 100);
  EXPECT_EQ(floor.below[0].agree, 50);
  EXPECT_EQ(floor.below[1].handled, 20);
  EXPECT_EQ(floor.below[2].handled, 0);
  EXPECT_EQ(floor.least_score, 0.9);
}

TEST(LabelFloor, TheExactTestDecides) {
  for (int64_t bad : {4, 5}) {  // of 100: P(Bin(100, 0.1) <= 4) = 0.0237, <= 5: 0.0576
    Rows rows;
    for (int64_t i = 0; i < 100; ++i) rows.add(0, 0.5, i >= bad);
    EXPECT_EQ(plan_label_floor(rows.learn, rows.predicted, 1, 0.8, 0.9, 0.05).below.size(), bad == 5 ? 1u : 0u);
  }
}

TEST(LabelFloor, TakesTheLeastScoreThatLeavesTheMostRows) {
  // Below 0.5 label 1 is wrong; above it both labels are right: giving up the low scores keeps both.
  Rows rows;
  for (int i = 0; i < 300; ++i)
    for (int32_t label : {0, 1}) rows.add(label, 0.5 + i / 1000.0, true);
  for (int i = 0; i < 200; ++i) rows.add(1, 0.4, i % 2 == 0);
  const LabelFloor both = plan_label_floor(rows.learn, rows.predicted, 2, 0.9, 0.9, 0.05);
  EXPECT_TRUE(both.below.empty());
  EXPECT_GT(both.least_score, 0.4);
  EXPECT_LE(both.least_score, 0.51);
  // With 500 more low rows of label 0, all right, label 1 is given up instead.
  for (int i = 0; i < 500; ++i) rows.add(0, 0.4, true);
  const LabelFloor one = plan_label_floor(rows.learn, rows.predicted, 2, 0.9, 0.9, 0.05);
  EXPECT_EQ(labels_of(one), (std::vector<int32_t>{1}));
  EXPECT_EQ(one.least_score, 0.4);
}

TEST(LabelFloor, NothingStaysWhereAlphaIsOutOfReach) {
  Rows rows;
  for (int i = 0; i < 1000; ++i)
    rows.add(i % 2, 0.5 + i % 10 * 0.01, i / 10 % 10 > 0);  // one in ten is wrong, at each score
  EXPECT_TRUE(plan_label_floor(rows.learn, rows.predicted, 2, 0.8, 0.8, 0.05).below.empty());
  EXPECT_EQ(plan_label_floor(rows.learn, rows.predicted, 2, 0.999, 0.8, 0.05).below.size(), 2u);
  EXPECT_EQ(plan_label_floor({}, {}, 3, 0.9, 0.8, 0.05).below.size(), 3u);
}

TEST(LabelFloor, GatesLowScoresAndLabelsAndNoOtherRow) {
  const LabelFloor floor{0.25, {{1, 5, 3}, {4, 0, 0}}};
  const std::vector<double> score = {0.25, 0.2, 0.9, 0.9, 0.9, 0.1};
  const std::vector<int32_t> predicted = {0, 0, 1, 3, 4, 2};
  std::vector<uint8_t> gated = {0, 0, 0, 1, 0, 0};
  apply_label_floor(floor, score, predicted, gated);
  EXPECT_EQ(gated, (std::vector<uint8_t>{0, 1, 1, 1, 1, 1}));
  EXPECT_LT(threshold_below(0.25), 0.25);
  EXPECT_GT(threshold_below(0.25), 0.25 - 1e-15);
  EXPECT_EQ(threshold_below(0), 0);
}

// A log with one label whose answers are often others', and what a fit makes of it.
FitResult fitted(const std::function<void(FitOptions&)>& change, Clusters* out = nullptr) {
  Clusters log = clusters(4000, 5, 16, 0.5, 0, 1);
  Draws draws(7);
  for (int32_t& label : log.label)
    if (label == 2 && draws.uniform() < 0.3) label = 3;
  FitOptions o;
  o.alpha = 0.9;
  o.sweep = {0.8, 0.95};
  o.split.seed = 1;
  change(o);
  const auto backend = cpu();
  auto result = fit(*backend, traces_of(log.label, 5), log.x.clone(), o);
  EXPECT_TRUE(result.ok()) << result.status().message();
  if (out != nullptr) *out = std::move(log);
  return result.ok() ? std::move(result).value() : FitResult{};
}

// Handled rows of the log by predicted label, as the frozen policy decides for a certificate.
std::vector<int64_t> handled_by_label(const FitResult& r, const Clusters& log, const Certificate& c,
                                      const std::vector<int32_t>& rows) {
  const auto backend = cpu();
  // A certify row's own score can be the threshold: what counts there is the canonical one.
  const auto stage = prepare_stage(*backend, r.policy.stages[0], {c.threshold});
  EXPECT_TRUE(stage.ok());
  std::vector<RowScore> scored;
  EXPECT_TRUE(score_rows(*backend, *stage, log.x.view(), scored).ok());
  std::vector<int64_t> handled(r.policy.labels.size(), 0);
  const DecisionRule rule = decision_rule(r.policy, c);
  for (int32_t row : rows) handled[scored[row].features.label] += decide(scored[row], rule) == Reason::kAccepted;
  return handled;
}

TEST(LabelFloor, CertificatesCountExactlyWhatThePolicyHandles) {
  Clusters log;
  for (bool floored : {false, true}) {
    const FitResult r = fitted(
        [&](FitOptions& o) {
          if (floored) o.label_floor = 0.9;
          o.never = {4, 0, 4};
        },
        &log);
    EXPECT_EQ(r.policy.never, (std::vector<int32_t>{0, 4}));
    bool any = false;
    for (const Certificate& c : r.policy.certificates) {
      SCOPED_TRACE(c.alpha);
      if (!c.certified) continue;
      any = true;
      const auto handled = handled_by_label(r, log, c, r.split.certify);
      int64_t total = 0;
      for (int64_t h : handled) total += h;
      EXPECT_EQ(total, c.n_handled);
      EXPECT_EQ(handled[0] + handled[4], 0);
      for (const FlooredLabel& f : c.floored) EXPECT_EQ(handled[f.label], 0);
      for (const LabelFigures& f : c.labels) EXPECT_EQ(f.handled, handled[f.label]);
    }
    EXPECT_TRUE(any);
    const Certificate& c = *r.policy.certificate(0.8);
    const bool deferred =
        std::any_of(c.floored.begin(), c.floored.end(), [](const FlooredLabel& f) { return f.label == 2; });
    EXPECT_EQ(deferred, floored);
  }
}

TEST(LabelFloor, ChangesNothingWhereNoneIsAskedFor) {
  const FitResult plain = fitted([](FitOptions&) {});
  const FitResult low = fitted([](FitOptions& o) { o.label_floor = 0.01; });  // every label reaches that
  for (size_t a = 0; a < plain.policy.certificates.size(); ++a) {
    EXPECT_TRUE(plain.policy.certificates[a].floored.empty());
    EXPECT_TRUE(low.policy.certificates[a].floored.empty());
  }
  EXPECT_TRUE(plain.cut.empty());
}

TEST(LabelFloor, DeferringEverythingIsARefusal) {
  const FitResult never = fitted([](FitOptions& o) { o.never = {0, 1, 2, 3, 4}; });
  const FitResult floor = fitted([](FitOptions& o) { o.label_floor = 0.9999; });
  for (const FitResult* r : {&never, &floor})
    for (const Certificate& c : r->policy.certificates) {
      EXPECT_FALSE(c.certified);
      EXPECT_FALSE(c.reason.empty());
    }
}

TEST(LabelFloor, BadOptionsAreErrors) {
  const Clusters log = clusters(100, 3, 8, 0.5, 0, 3);
  const auto backend = cpu();
  const auto refuse = [&](auto&& change) {
    FitOptions o;
    change(o);
    return fit(*backend, traces_of(log.label, 3), log.x.clone(), o).status().code();
  };
  EXPECT_EQ(refuse([](FitOptions& o) { o.never = {3}; }), ErrorCode::kBadInput);
  EXPECT_EQ(refuse([](FitOptions& o) { o.never = {-1}; }), ErrorCode::kBadInput);
  EXPECT_EQ(refuse([](FitOptions& o) { o.label_floor = 1; }), ErrorCode::kBadInput);
  EXPECT_EQ(refuse([](FitOptions& o) { o.label_floor = -0.1; }), ErrorCode::kBadInput);
  EXPECT_EQ(refuse([](FitOptions& o) { o.budget_seconds = -1; }), ErrorCode::kBadInput);
}

TEST(Budget, SpentAtOnceStillGivesAPolicyAndSaysWhatWasCut) {
  const FitResult r = fitted([](FitOptions& o) { o.budget_seconds = 0; });
  ASSERT_EQ(r.policy.stages.size(), 1u);
  EXPECT_EQ(r.candidates.size(), 1u);
  EXPECT_EQ(r.cut.size(), 3u);  // the kernel vote, further strengths, blends
  EXPECT_TRUE(r.policy.certificate(0.8)->certified) << r.policy.certificate(0.8)->reason;
  EXPECT_NE(r.warnings.back().find("depends on time"), std::string::npos);
  EXPECT_TRUE(fitted([](FitOptions& o) { o.budget_seconds = 1e6; }).cut.empty());
}

TEST(Reasons, TheFirstThatAppliesIsNamed) {
  Policy policy;
  policy.labels = {"a", "b", "c"};
  policy.never = {0};
  Certificate c;
  c.threshold = 0.5;
  c.floored = {{1, 10, 5}};
  const DecisionRule rule = decision_rule(policy, c);
  const auto decided = [&](int32_t label, double score, bool gated) {
    RowScore row;
    row.features.label = label;
    row.score = score, row.gated = gated;
    return decide(row, rule);
  };
  EXPECT_EQ(decided(0, 0.9, true), Reason::kNeverLabel);
  EXPECT_EQ(decided(1, 0.9, true), Reason::kOutOfDistribution);
  EXPECT_EQ(decided(1, 0.9, false), Reason::kBelowLabelFloor);
  EXPECT_EQ(decided(2, 0.5, false), Reason::kBelowThreshold);
  EXPECT_EQ(decided(2, 0.51, false), Reason::kAccepted);
  EXPECT_TRUE(decision_rule(Policy{}, Certificate{}).by_label.empty());
}

}  // namespace
}  // namespace tracer
