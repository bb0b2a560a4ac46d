#include "engine/prove/run_betting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "engine/log/split.h"
#include "engine/prove/certify.h"
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

// Groups of several sizes, where size and agreement go together. m comes from learn; the claim is about traffic in
// groups of at most m rows. When m was the largest group of the whole log, small logs in which no bad group occurred at
// all were certified against traffic that holds them: half of the logs of 240 groups.
TEST(RunBetting, GroupsLargerThanAnyLearnedFromAreNoPartOfTheClaim) {
  constexpr double kDelta = 0.05, kAlpha = 0.95;
  struct Size {
    int64_t rows;
    double share;  // of the groups; the rest are single rows that agree
    bool disagree;
  };
  struct Cell {
    const char* name;
    int64_t groups;
    std::vector<Size> sizes;
  };
  const Cell cells[] = {
      {"rare groups of 20, small log", 240, {{20, 0.0028, true}}},
      {"rare groups of 20", 6000, {{20, 0.0028, true}}},
      // Traffic is below alpha within groups of 5 and below it in all, whether or not learn shows the 20.
      {"fives that disagree, twenties that agree", 3000, {{5, 0.0118, true}, {20, 0.001, false}}},
  };
  for (const Cell& cell : cells) {
    int64_t trials = 0, wrong = 0, left_out = 0;
    for (; trials < 200 / kSlower; ++trials) {
      Draws draws(static_cast<uint64_t>(trials) + 40);
      std::vector<int32_t> label;  // 1: disagrees
      std::vector<int64_t> group;
      for (int64_t g = 0; g < cell.groups; ++g) {
        double u = draws.uniform();
        Size is{1, 1, false};
        for (const Size& size : cell.sizes) {
          if (u >= 0 && u < size.share) is = size;
          u -= size.share;
        }
        label.insert(label.end(), is.rows, is.disagree);
        group.insert(group.end(), is.rows, g);
      }
      Traces traces = testing::traces_of(label, 2);
      traces.group = group;
      auto made = make_split(traces, {SplitKind::kGroups, 0.25, 5, static_cast<uint64_t>(trials)});
      ASSERT_TRUE(made.ok());
      Split& split = *made;
      left_out += leave_out_large_units(split).units;
      const auto side = [&](const std::vector<int32_t>& rows, const std::vector<int32_t>& unit, auto& out) {
        for (size_t i = 0; i < rows.size(); ++i) {
          out.score.push_back(draws.uniform() < 0.5 ? 0.4 : 0.6);
          out.disagree.push_back(static_cast<uint8_t>(label[rows[i]]));
          out.gated.push_back(0);
          out.unit.push_back(unit[i]);
        }
      };
      LearnSide learn;
      side(split.learn, split.unit, learn);
      CertifySide certify;
      side(split.certify, split.certify_unit, certify);
      for (int32_t u : split.certify_unit) certify.units = std::max<int64_t>(certify.units, u + 1);
      certify.unit_rows = split.unit_rows;
      CertifyOptions o;
      o.delta = kDelta;
      const Certificate c = Certifier(learn, ProofUnit::kGroups, o, static_cast<int64_t>(certify.score.size()),
                                      certify.units, split.unit_rows)
                                .certify(certify, kAlpha);
      EXPECT_EQ(c.unit_rows, split.unit_rows);
      double rows = 1, bad = 0;  // of traffic in groups of at most m
      for (const Size& size : cell.sizes) {
        rows -= size.share;
        if (size.rows > c.unit_rows) continue;
        rows += size.share * static_cast<double>(size.rows);
        if (size.disagree) bad += size.share * static_cast<double>(size.rows);
      }
      wrong += c.certified && bad > (1 - kAlpha) * rows;
    }
    EXPECT_FALSE(testing::violates(wrong, trials, kDelta, 0.01)) << cell.name << ": " << wrong << " of " << trials;
    if (kSlower == 1 && cell.groups < 6000) {  // in the largest log learn always shows a 20
      EXPECT_GT(left_out, 0) << cell.name;
    }
  }
}

TEST(RunBetting, AHopelessPlanIsOneThatNoOutcomeCertifies) {
  // Runs of 10 rows under m = 20, every row handled and agreeing under the boldest bet.
  Draws draws(9);
  const RunScores learn = runs(50, 0, 0, 0, draws);
  for (int64_t units : {20, 40, 44, 45, 46, 60, 90}) {
    const int64_t rows = units * 10;
    RunScores best;
    best.units = units;
    for (int64_t i = 0; i < rows; ++i)
      best.score.push_back(0.9999), best.disagree.push_back(0), best.unit.push_back(static_cast<int32_t>(i / 10));
    BettingPlan plan = plan_betting(learn, 1000, units, rows, kRun, 0.9, 0.1, 0.05, 0);
    const bool possible = plan.possible;
    plan.possible = true;
    plan.threshold = {0.5}, plan.design_effect = {1};
    plan.bet = {0.999 / (kRun * 0.9)};
    EXPECT_EQ(possible, certify_by_runs(best, plan, 0.9, 0.1).certified) << units;
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
