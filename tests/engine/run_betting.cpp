#include "engine/run_betting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "engine/logistic.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

constexpr int64_t kRun = 20;

// Runs of kRun rows. Each run is bad with probability `bad_runs`; its rows then disagree with probability `in_bad`,
// others with `in_good`. Scores say nothing about it: every threshold has the same agreement.
RunScores runs(int64_t units, double bad_runs, double in_bad, double in_good, Draws& draws) {
  RunScores out;
  out.units = units;
  for (int64_t g = 0; g < units; ++g) {
    const double risk = draws.uniform() < bad_runs ? in_bad : in_good;
    for (int64_t i = 0; i < kRun; ++i) {
      out.score.push_back(0.001 + 0.998 * draws.uniform());
      out.disagree.push_back(draws.uniform() < risk);
      out.unit.push_back(static_cast<int32_t>(g));
    }
  }
  return out;
}

BettingPlan plan_from(const RunScores& learn, int64_t units, double alpha, double delta, uint64_t seed) {
  return plan_betting(learn, static_cast<int64_t>(learn.score.size()), units, units * kRun, kRun, alpha, delta, 0.05,
                      seed);
}

TEST(RunBetting, FalseCertificatesAreRarerThanDeltaUnderStrongRunEffects) {
  constexpr double kDelta = 0.10, kAlpha = 0.9;
  struct Cell {
    const char* name;
    double bad_runs, in_bad, in_good, learn_in_bad;
  };
  // Disagreement 0.1005 everywhere.
  const Cell cells[] = {{"no run effect", 0.0, 0.0, 0.1005, 0.0},
                        {"a tenth of the runs all wrong", 0.1005, 1.0, 0.0, 1.0},
                        {"a fifth half wrong", 0.2, 0.4525, 0.0125, 0.4525},
                        {"rare disasters, none in learn", 0.02, 1.0, 0.08215, 0.0}};
  const double evidence = 0.01 / static_cast<double>(std::size(cells) * 2);
  for (const Cell& cell : cells)
    for (int64_t units : {40, 125}) {
      int64_t trials = 0, wrong = 0;
      for (uint64_t seed = 0; seed < 3; ++seed) {
        Draws draws(seed * 100 + 7);
        const RunScores learn = runs(300, cell.bad_runs, cell.learn_in_bad, cell.in_good, draws);
        BettingPlan plan = plan_from(learn, units, kAlpha, kDelta, seed);
        // A plan from learn at the boundary may think itself hopeless: the test is of the certificate, so go on.
        plan.possible = true;
        ASSERT_FALSE(plan.threshold.empty());
        for (int64_t trial = 0; trial < 500 / kSlower; ++trial, ++trials)
          wrong += certify_by_runs(runs(units, cell.bad_runs, cell.in_bad, cell.in_good, draws), plan, kAlpha, kDelta)
                       .certified;
      }
      EXPECT_FALSE(testing::violates(wrong, trials, kDelta, evidence))
          << cell.name << ", " << units << " runs: " << wrong << " of " << trials;
    }
}

TEST(RunBetting, CertifiesTheEasyCase) {
  Draws draws(5);
  const RunScores learn = runs(300, 0.02, 0.3, 0.01, draws);
  const BettingPlan plan = plan_from(learn, 125, 0.9, 0.1, 1);
  ASSERT_TRUE(plan.possible);
  EXPECT_GT(plan.expected_deploy, 0.8);
  int64_t deployed = 0, handled = 0;
  constexpr int kTrials = 100;
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto out = certify_by_runs(runs(125, 0.02, 0.3, 0.01, draws), plan, 0.9, 0.1);
    deployed += out.certified;
    handled += out.handled;
  }
  EXPECT_GE(deployed, 80);
  EXPECT_GE(handled, deployed * 125 * kRun / 2);
}

TEST(RunBetting, ThePlanIsAFixedSequence) {
  Draws draws(6);
  const RunScores learn = runs(200, 0.1, 0.2, 0.01, draws);
  const BettingPlan a = plan_from(learn, 60, 0.9, 0.1, 1), b = plan_from(learn, 60, 0.9, 0.1, 1);
  EXPECT_EQ(a.threshold, b.threshold);
  EXPECT_EQ(a.bet, b.bet);
  ASSERT_EQ(a.threshold.size(), a.bet.size());
  ASSERT_EQ(a.threshold.size(), a.design_effect.size());
  for (size_t t = 0; t < a.threshold.size(); ++t) {
    if (t > 0) {
      EXPECT_LT(a.threshold[t], a.threshold[t - 1]);
    }
    EXPECT_TRUE(a.bet[t] > 0 && a.bet[t] * static_cast<double>(kRun) * 0.9 < 1);  // 1 - bet * X stays positive
    EXPECT_TRUE(a.design_effect[t] >= 1);
  }
}

// The wager, by hand: one threshold, three runs.
TEST(RunBetting, HandWorked) {
  BettingPlan plan;
  plan.possible = true;
  plan.threshold = {0.5};
  plan.bet = {0.4};
  plan.design_effect = {1};
  // epsilon 0.5. X = (2 rows agree: -1), (one agrees, one not: 0), (one row handled, agrees: -0.5).
  const RunScores rows{{0.9, 0.6, 0.5, 0.7, 0.8, 0.4}, {0, 0, 0, 1, 0, 1}, {0, 0, 1, 1, 2, 2}, 3};
  const double wealth = 1.4 * 1.0 * 1.2;
  const auto yes = certify_by_runs(rows, plan, 0.5, 1 / (wealth - 1e-9)),
             no = certify_by_runs(rows, plan, 0.5, 1 / (wealth + 1e-9));
  EXPECT_TRUE(yes.certified);
  EXPECT_FALSE(no.certified);
  EXPECT_EQ(yes.handled, 5);
  EXPECT_EQ(yes.disagreements, 1);
  EXPECT_TRUE(yes.threshold < 0.5 && yes.threshold > 0.4999);  // handled iff score > threshold, 0.5 included
  // More than one threshold: the sequence stops at the first failure, and the last success counts.
  plan.threshold = {0.65, 0.5, 0.3};
  plan.bet = {0.4, 0.4, 0.4};
  plan.design_effect = {1, 1, 1};
  // Above 0.65: X = -0.5, 0.5, -0.5: wealth 1.2 * 0.8 * 1.2 = 1.152.
  EXPECT_FALSE(certify_by_runs(rows, plan, 0.5, 1 / 1.2).certified);
  // Above 0.3 the last run gains nothing: 1.4; the first two pass at 1/1.15 and so does the third.
  EXPECT_EQ(certify_by_runs(rows, plan, 0.5, 1 / 1.15).handled, 6);
  EXPECT_EQ(certify_by_runs(rows, plan, 0.5, 1 / 1.15).tested, 3);
}

TEST(RunBetting, DegenerateSets) {
  RunScores none;
  EXPECT_FALSE(plan_betting(none, 0, 10, 200, kRun, 0.9, 0.1, 0.05, 0).possible);
  Draws draws(8);
  RunScores one = runs(1, 0, 0, 0, draws);
  EXPECT_FALSE(plan_from(one, 10, 0.9, 0.1, 0).possible);
  EXPECT_FALSE(certify_by_runs(none, {}, 0.9, 0.1).certified);
  EXPECT_FALSE(certify_approximately(none, {}, 0.9, 0.1).certified);
  // All disagree and all agree; three runs are too few to show 0.9 at 0.1.
  const RunScores good = runs(50, 0, 0, 0, draws), bad = runs(50, 1, 1, 1, draws);
  for (const RunScores* learn : {&good, &bad}) {
    const BettingPlan plan = plan_from(*learn, 50, 0.9, 0.1, 0);
    for (double d : plan.design_effect) EXPECT_TRUE(std::isfinite(d));
    EXPECT_EQ(certify_by_runs(*learn, plan, 0.9, 0.1).certified, learn == &good);
    EXPECT_FALSE(plan_from(*learn, 3, 0.9, 0.1, 0).possible);
  }
}

TEST(RunBetting, TheApproximationPaysItsDesignEffect) {
  Draws draws(11);
  const RunScores strong = runs(400, 0.1, 0.9, 0.005, draws), weak = runs(400, 0, 0, 0.05, draws);
  const BettingPlan a = plan_from(strong, 100, 0.8, 0.1, 1), b = plan_from(weak, 100, 0.8, 0.1, 1);
  EXPECT_GT(a.design_effect.back(), 8);
  EXPECT_LT(b.design_effect.back(), 2);
  const RunScores rows = runs(100, 0, 0, 0.05, draws);
  const auto narrow = certify_approximately(rows, b, 0.8, 0.1);
  EXPECT_TRUE(narrow.certified);
  EXPECT_EQ(narrow.handled, static_cast<int64_t>(std::count_if(rows.score.begin(), rows.score.end(),
                                                               [&](double s) { return s > narrow.threshold; })));
}

TEST(RunBetting, UnitCorrelation) {
  // Under independence: a z-score.
  double sum = 0, squares = 0;
  const int64_t trials = 400 / kSlower + 60;
  for (int64_t trial = 0; trial < trials; ++trial) {
    Draws draws(static_cast<uint64_t>(trial) + 900);
    std::vector<double> value;
    std::vector<int32_t> unit;
    for (int32_t i = 0; i < 2000; ++i) value.push_back(draws.uniform() < 0.1), unit.push_back(i / 20);
    const double z = unit_correlation(value, unit);
    sum += z, squares += z * z;
  }
  const double n = static_cast<double>(trials), mean = sum / n, sd = std::sqrt(squares / n - mean * mean);
  EXPECT_NEAR(mean, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(sd, 1, 0.25);
  // Under a run effect: far out.
  Draws draws(3);
  const RunScores strong = runs(100, 0.1, 0.6, 0.02, draws);
  EXPECT_GT(unit_correlation(std::vector<double>(strong.disagree.begin(), strong.disagree.end()), strong.unit), 10);
  // Nothing to compare.
  std::vector<int32_t> rows_of_twenty;
  for (int32_t i = 0; i < 2000; ++i) rows_of_twenty.push_back(i / 20);
  EXPECT_EQ(unit_correlation({}, {}), 0);
  EXPECT_EQ(unit_correlation(std::vector<double>{1, 0, 1}, std::vector<int32_t>{0, 1, 2}), 0);
  EXPECT_EQ(unit_correlation(std::vector<double>(2000, -0.1), rows_of_twenty), 0);  // rounding is not correlation
  EXPECT_EQ(unit_correlation(std::vector<double>{1, 1, 1}, std::vector<int32_t>{0, 0, 0}), 0);
}

}  // namespace
}  // namespace tracer
