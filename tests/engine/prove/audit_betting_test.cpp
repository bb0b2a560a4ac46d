#include "engine/prove/audit_betting.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

// Out-of-fold rows whose disagreement falls with the score from `worst` to `best`.
LearnScores learn_rows(int64_t rows, double best, double worst, Draws& draws) {
  LearnScores learn;
  learn.rows = rows;
  for (int64_t i = 0; i < rows; ++i) {
    const double score = 0.001 + 0.998 * draws.uniform();
    learn.score.push_back(score);
    learn.disagree.push_back(draws.uniform() < worst + (best - worst) * score);
  }
  return learn;
}

AuditPlan one_threshold(double alpha, double level, double bet) { return {alpha, level, {0.5}, {bet}, {1.0}, 0}; }

TEST(AuditBetting, LevelsOfAllChallengersTogetherAreDelta) {
  double sum = 0;
  for (int64_t j = 1; j <= 100000; ++j) sum += challenger_level(0.05, j);
  EXPECT_LE(sum, 0.05);
  EXPECT_NEAR(sum, 0.05, 1e-6);
  EXPECT_DOUBLE_EQ(challenger_level(0.05, 1), 0.025);
}

TEST(AuditBetting, PlansAreWithinTheirRules) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Draws draws(seed);
    const LearnScores learn = learn_rows(50 + draws.below(3000), 0.2 * draws.uniform() * draws.uniform(), 0.3, draws);
    const double alpha = 0.8 + 0.19 * draws.uniform(), epsilon = 1 - alpha;
    const AuditPlan plan = plan_audit(learn, alpha, 0.01, 0.05);
    for (size_t i = 0; i < plan.threshold.size(); ++i) {
      EXPECT_LE(plan.bet[i], 0.8 * epsilon + 1e-15) << seed;
      EXPECT_GE(plan.bet[i], 0.2 * epsilon - 1e-15) << seed;
      if (i > 0) {
        EXPECT_LT(plan.threshold[i], plan.threshold[i - 1]) << seed;
      }
      const auto above =
          std::count_if(learn.score.begin(), learn.score.end(), [&](double s) { return s >= plan.threshold[i]; });
      EXPECT_NEAR(plan.share[i], static_cast<double>(above) / static_cast<double>(learn.rows), 1e-12) << seed;
      EXPECT_GE(plan.share[i], 0.05) << seed;
    }
    EXPECT_EQ(plan.threshold.empty(), plan.patience == 0) << seed;
  }
}

TEST(AuditBetting, NothingToPlanOn) {
  EXPECT_TRUE(plan_audit({}, 0.9, 0.05, 0.05).threshold.empty());
  const LearnScores wrong{{0.2, 0.4, 0.9}, {1, 1, 1}, 3};
  EXPECT_TRUE(plan_audit(wrong, 0.9, 0.05, 0.05).threshold.empty());
  AuditWager wager(plan_audit(wrong, 0.9, 0.05, 0.05));
  wager.add(0.9, true, false);
  EXPECT_EQ(wager.passed(), 0);
}

// The oracle: products in double, from the definition, every prefix of the rows.
TEST(AuditBetting, WagersAreTheProductsOfTheirDefinition) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Draws draws(seed + 500);
    AuditPlan plan;
    plan.alpha = 0.9, plan.level = 0.2;
    for (int i = 0; i < 5; ++i) {
      plan.threshold.push_back(0.8 - 0.15 * i);
      plan.bet.push_back(0.02 + 0.06 * draws.uniform());
    }
    AuditWager wager(plan);
    struct Row {
      double score;
      bool open, bad;
    };
    std::vector<Row> rows;
    for (int64_t n = 0; n < 120; ++n) {
      // Scores on the thresholds themselves are common.
      const double score = draws.uniform() < 0.3 ? plan.threshold[draws.below(5)] : draws.uniform();
      rows.push_back({score, draws.uniform() < 0.9, draws.uniform() < 0.06});
      wager.add(rows.back().score, rows.back().open, rows.back().bad);
      int64_t passed = 0;
      for (size_t i = 0; i < plan.threshold.size(); ++i) {
        double product = 1, most = 1;
        int64_t handled = 0, bad = 0;
        for (const Row& r : rows) {
          if (!r.open || r.score < plan.threshold[i]) continue;
          product *= r.bad ? plan.bet[i] / 0.1 : (1 - plan.bet[i]) / 0.9;
          most = std::max(most, product);
          ++handled, bad += r.bad;
        }
        EXPECT_NEAR(std::exp(wager.state()[i].log_wager), product, 1e-9 * product);
        EXPECT_NEAR(std::exp(wager.state()[i].best), most, 1e-9 * most);
        EXPECT_EQ(wager.state()[i].handled, handled);
        EXPECT_EQ(wager.state()[i].disagreements, bad);
        if (passed == static_cast<int64_t>(i) && most >= 1 / plan.level) ++passed;
      }
      EXPECT_EQ(wager.passed(), passed);
      EXPECT_EQ(wager.rows(), static_cast<int64_t>(rows.size()));
    }
  }
}

// A life of a deployment: challengers, one after the other, each looked at after every audit row until it would be
// deployed or its rows are spent. risk(score, row): of disagreement, on the audited traffic. bad(threshold): whether
// deploying at that threshold breaks the promise.
struct Life {
  const char* name;
  double learn_best, learn_worst;  // what out-of-fold rows say
  std::function<double(double, int64_t)> risk;
  std::function<bool(double)> bad;
};

bool ever_false(const Life& life, double alpha, double delta, int64_t challengers, int64_t rows, Draws& draws) {
  for (int64_t j = 1; j <= challengers; ++j) {
    const LearnScores learn = learn_rows(800, life.learn_best, life.learn_worst, draws);
    AuditWager wager(plan_audit(learn, alpha, challenger_level(delta, j), 0.05));
    for (int64_t n = 0; n < rows; ++n) {
      const double score = 0.001 + 0.998 * draws.uniform();
      wager.add(score, true, draws.uniform() < life.risk(score, n));
      const int64_t passed = wager.passed();
      if (passed > 0 && life.bad(wager.plan().threshold[passed - 1])) return true;
    }
  }
  return false;
}

TEST(AuditBettingStatistics, FalseDeploymentsInALifeAreRarerThanDelta) {
  constexpr double kDelta = 0.10, kAlpha = 0.9, kEpsilon = 0.1;
  const auto always = [](double) { return true; };
  const Life lives[] = {
      {"just below alpha, learn rosy", 0.02, 0.04, [](double, int64_t) { return 0.1005; }, always},
      {"just below alpha, learn honest", 0.085, 0.11, [](double, int64_t) { return 0.1005; }, always},
      // Agreement above t is alpha at t = 0.5: lower thresholds are false.
      {"true down to the middle", 0.02, 0.12, [](double s, int64_t) { return s > 0.5 ? 0.1 : 0.11; },
       [](double t) { return t < 0.49; }},
      // The mean from the window's start never falls below epsilon, though its later rows are good.
      {"drift: bad, then good", 0.02, 0.04, [](double, int64_t n) { return n < 300   ? 0.15
                                                                           : n < 600 ? 0.051
                                                                                     : 0.1005; },
       always},
      {"drift: worse and worse", 0.02, 0.04, [](double, int64_t n) { return 0.1005 + 1e-4 * static_cast<double>(n); },
       always},
      {"the score is upside down", 0.02, 0.04, [](double s, int64_t) { return 0.0505 + 0.1 * s; }, always}};
  const double evidence = 0.01 / static_cast<double>(std::size(lives));
  for (const Life& life : lives) {
    int64_t wrong = 0;
    const int64_t trials = 1500 / kSlower;
    for (int64_t trial = 0; trial < trials; ++trial) {
      Draws draws(static_cast<uint64_t>(trial) * 977 + 13);
      wrong += ever_false(life, kAlpha, kDelta, 6, 1000, draws);
    }
    std::printf("false deployments in a life of 6 challengers, %s: %lld of %lld (delta %.2f, epsilon %.2f)\n",
                life.name, static_cast<long long>(wrong), static_cast<long long>(trials), kDelta, kEpsilon);
    EXPECT_FALSE(testing::violates(wrong, trials, kDelta, evidence)) << life.name << ": " << wrong << " of " << trials;
  }
}

// Handled audit rows until the wager has passed, in the 80 % of cases that are quickest.
int64_t rows_for_success(double level, double disagreement, double bet, double success) {
  std::vector<int64_t> needed;
  for (uint64_t trial = 0; trial < 4000 / kSlower; ++trial) {
    Draws draws(trial * 31 + 5);
    AuditWager wager(one_threshold(0.95, level, bet));
    while (wager.passed() == 0 && wager.rows() < 20000) wager.add(0.9, true, draws.uniform() < disagreement);
    needed.push_back(wager.rows());
  }
  std::sort(needed.begin(), needed.end());
  return needed[static_cast<size_t>(success * static_cast<double>(needed.size()))];
}

TEST(AuditBettingStatistics, PowerAsStated) {
  const int64_t at_delta = rows_for_success(0.05, 0.02, 0.02, 0.8), first = rows_for_success(0.025, 0.02, 0.02, 0.8);
  std::printf(
      "alpha 0.95, true disagreement 0.02: handled audit rows for 80 %% success %lld at level 0.05, %lld at 0.025 "
      "(the first challenger of delta 0.05); with bets 0.01 and 0.04: %lld and %lld at 0.05\n",
      static_cast<long long>(at_delta), static_cast<long long>(first),
      static_cast<long long>(rows_for_success(0.05, 0.02, 0.01, 0.8)),
      static_cast<long long>(rows_for_success(0.05, 0.02, 0.04, 0.8)));
  EXPECT_GT(at_delta, 290);
  EXPECT_LT(at_delta, 390);
  EXPECT_LT(first, 480);
}

}  // namespace
}  // namespace tracer
