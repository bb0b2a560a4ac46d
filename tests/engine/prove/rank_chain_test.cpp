#include "engine/prove/rank_chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <vector>

#include "engine/maths/binomial.h"
#include "tests/engine/chain_rows.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

Rows descending(const std::vector<uint8_t>& disagree) {
  Rows rows{{}, disagree};
  for (size_t r = 1; r <= disagree.size(); ++r) rows.score.push_back(1 - static_cast<double>(r) / 100);
  return rows;
}

// alpha = 0.5, delta = 0.2. Bin(N, 1/2): P(<=0) = 1/8 at 3; P(<=1) = 6/32 at 5; P(<=2) = 37/256 at 8 (29/128 at 7);
// P(<=3) = 176/1024 at 10 (130/512 at 9). So k_0, .., k_3 = 3, 5, 8, 10.
TEST(RankChain, HandWorked) {
  const auto allowed = critical_values(10, 0.5, 0.2);
  ASSERT_EQ(allowed, (std::vector<int64_t>{-1, -1, -1, 0, 0, 1, 1, 1, 2, 2, 3}));

  // Disagreements at ranks 4, 6, 7: 3, 5 pass (0 and 1 disagreements), 8 fails (3 > 2).
  auto out = certify(descending({0, 0, 0, 1, 0, 1, 1, 0, 0, 0}), range(0, 3), 0.5, 0.2);
  EXPECT_TRUE(out.certified);
  EXPECT_EQ(out.handled, 5);
  EXPECT_EQ(out.disagreements, 1);
  EXPECT_EQ(out.tested, 3);
  EXPECT_EQ(out.threshold, 1 - 6 / 100.0);

  // With b = 1 every rank after 5 is tested: 6 fails (2 > 1).
  out = certify(descending({0, 0, 0, 1, 0, 1, 0, 0, 0, 0}), range(0, 1), 0.5, 0.2);
  EXPECT_EQ(out.handled, 5);
  EXPECT_EQ(out.tested, 3);
  // With b = 3 the dip at 6 is not looked at: 8 holds 2, 10 holds 2.
  out = certify(descending({0, 0, 0, 1, 0, 1, 0, 0, 0, 0}), range(0, 3), 0.5, 0.2);
  EXPECT_EQ(out.handled, 10);
  EXPECT_EQ(out.threshold, 0.0);  // everything that passes the gate

  // The first hypothesis fails: refusal, whatever comes later.
  out = certify(descending({1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), range(0, 3), 0.5, 0.2);
  EXPECT_FALSE(out.certified);
  EXPECT_EQ(out.tested, 1);
  EXPECT_FALSE(out.detail.empty());
  // The same rows with a chain that starts at one disagreement.
  out = certify(descending({1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), range(1, 3), 0.5, 0.2);
  EXPECT_EQ(out.handled, 10);
  EXPECT_EQ(out.disagreements, 1);
}

// A chain may be planned for more rows than pass the gate: its last test is then of all rows that do.
TEST(RankChain, RanksBeyondTheGatedRowsStandForAllOfThem) {
  auto out = certify(descending({0, 0, 0, 0, 0, 1, 0}), range(2, 3), 0.5, 0.2, 10);  // k_2 = 8, k_3 = 10
  EXPECT_TRUE(out.certified);
  EXPECT_EQ(out.handled, 7);
  EXPECT_EQ(out.tested, 1);
  out = certify(descending({0, 0, 0, 0, 0, 1, 0}), range(1, 3), 0.5, 0.2, 10);  // 5, then 7
  EXPECT_EQ(out.handled, 7);
  EXPECT_EQ(out.tested, 2);
  out = certify(descending({0, 0, 0, 0, 0, 1, 1}), range(1, 3), 0.5, 0.2, 10);
  EXPECT_EQ(out.handled, 5);
  EXPECT_FALSE(certify(descending({0, 0, 0, 0, 0, 1, 1}), range(2, 3), 0.5, 0.2, 10).certified);
}

TEST(RankChain, ATieIsNeverCut) {
  // Ranks 3 to 6 share a score; testing rank 3 means testing rank 6.
  Rows rows{{0.9, 0.8, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1}, {0, 0, 0, 0, 0, 1, 0, 0, 0, 0}};
  auto out = certify(rows, range(0, 0), 0.5, 0.2);
  EXPECT_EQ(out.handled, 10);
  rows.disagree = {0, 0, 0, 0, 1, 1, 0, 0, 0, 0};  // two in the tie: 2 > allowed[6] = 1
  EXPECT_FALSE(certify(rows, range(0, 0), 0.5, 0.2).certified);
  // The whole set in one tie is all or nothing.
  rows.score.assign(10, 0.5);
  rows.disagree = {1, 1, 1, 0, 0, 0, 0, 0, 0, 0};
  out = certify(rows, range(0, 3), 0.5, 0.2);
  EXPECT_EQ(out.handled, 10);
  EXPECT_EQ(out.tested, 1);
  rows.disagree[9] = 1;
  EXPECT_FALSE(certify(rows, range(0, 3), 0.5, 0.2).certified);
}

TEST(RankChain, TheThresholdHandlesExactlyTheHandledRows) {
  Draws draws(3);
  for (int trial = 0; trial < 400; ++trial) {
    Rows rows;
    const int64_t n = 20 + draws.below(200);
    for (int64_t i = 0; i < n; ++i) {
      const double u = draws.uniform();
      rows.score.push_back(trial % 2 == 0 ? 0.01 + 0.98 * u : (1 + std::floor(20 * u)) / 22);
      rows.disagree.push_back(draws.uniform() < 0.3 * (1 - u));
    }
    const int64_t a = draws.below(3);
    const auto out = certify(rows, range(a, a + draws.below(2)), 0.8, 0.1, 400);
    if (!out.certified) continue;
    int64_t handled = 0, bad = 0;
    for (int64_t i = 0; i < n; ++i)
      if (rows.score[i] > out.threshold) ++handled, bad += rows.disagree[i];
    EXPECT_EQ(handled, out.handled);
    EXPECT_EQ(bad, out.disagreements);
    EXPECT_TRUE(binomial_cdf(bad, handled, 0.2) <= 0.1);
  }
}

TEST(RankChain, TooFewRows) {
  EXPECT_FALSE(certify_by_rank({}, {}, 0, {}, 0.9, 0.1).certified);
  EXPECT_FALSE(certify_by_rank({}, {}, 100, range(0, 0), 0.9, 0.1).certified);  // every row was gated
  const Rows two = descending({0, 0});
  EXPECT_FALSE(certify(two, range(0, 0), 0.9, 0.1, 100).certified);  // 22 needed
}

LearnScores learn_from(int64_t n, uint64_t seed, const std::function<double(double)>& risk) {
  Draws draws(seed);
  LearnScores learn;
  learn.rows = n;
  for (int64_t i = 0; i < n; ++i) {
    const double s = 0.001 + 0.998 * draws.uniform();
    learn.score.push_back(s);
    learn.disagree.push_back(draws.uniform() < risk(s));
  }
  return learn;
}

TEST(RankChain, ThePlanIsDeterministicAndReachesTheMinimum) {
  const auto learn = learn_from(1500, 5, [](double s) { return 0.4 * (1 - s); });
  for (int64_t n : {50, 200, 997}) {
    const ImaginedCertify one(learn, n, 3), two(learn, n, 3);
    for (double alpha : {0.8, 0.9, 0.95}) {
      const auto k = [&](int64_t c) {
        const auto allowed = critical_values(n, 1 - alpha, 0.1);
        return std::find(allowed.begin(), allowed.end(), c) - allowed.begin();
      };
      for (double least : {0.0, 0.05, 0.5}) {
        const ChainPlan p = one.plan(alpha, 0.1, least), q = two.plan(alpha, 0.1, least);
        EXPECT_EQ(p.possible, q.possible);
        EXPECT_EQ(p.a, q.a);
        EXPECT_EQ(p.b, q.b);
        EXPECT_EQ(p.expected_coverage, q.expected_coverage);
        EXPECT_TRUE(p.expected_coverage >= 0 && p.expected_coverage <= 1);
        if (!p.possible) continue;
        EXPECT_LE(p.a, p.b);
        EXPECT_GE(static_cast<double>(k(p.a)), least * static_cast<double>(n)) << n << " " << alpha;
      }
    }
  }
}

TEST(RankChain, PlansOfDegenerateLearnSets) {
  LearnScores learn;
  EXPECT_FALSE(ImaginedCertify(learn, 100, 0).plan(0.9, 0.1, 0.05).possible);  // nothing at all
  learn.rows = 50;
  EXPECT_FALSE(ImaginedCertify(learn, 100, 0).plan(0.9, 0.1, 0.05).possible);  // everything gated
  learn = learn_from(50, 1, [](double) { return 0.0; });
  EXPECT_FALSE(ImaginedCertify(learn, 0, 0).plan(0.9, 0.1, 0.05).possible);
  EXPECT_FALSE(ImaginedCertify(learn, 21, 0).plan(0.9, 0.1, 0.05).possible);  // 22 rows are the fewest
  EXPECT_TRUE(ImaginedCertify(learn, 22, 0).plan(0.9, 0.1, 0.05).possible);
  // All agree: the likelihood is flat towards no risk, and the plan foresees that all are certified.
  learn = learn_from(300, 1, [](double) { return 0.0; });
  const ChainPlan sure = ImaginedCertify(learn, 300, 0).plan(0.9, 0.1, 0.05);
  EXPECT_GT(sure.expected_coverage, 0.95);
  EXPECT_EQ(certify_by_rank(learn.score, learn.disagree, 300, sure, 0.9, 0.1).handled, 300);
  // All disagree: whatever the plan hopes for, such rows are refused.
  learn = learn_from(300, 1, [](double) { return 1.0; });
  const ChainPlan hopeless = ImaginedCertify(learn, 200, 0).plan(0.9, 0.1, 0.05);
  EXPECT_FALSE(certify_by_rank(learn.score, learn.disagree, 300, hopeless, 0.9, 0.1).certified);
  std::fill(learn.score.begin(), learn.score.end(), 0.5);  // one score for all
  EXPECT_TRUE(std::isfinite(ImaginedCertify(learn, 200, 0).plan(0.9, 0.1, 0.05).expected_coverage));
}

TEST(RankChain, EverythingAgrees) {
  const auto learn = learn_from(600, 1, [](double) { return 0.0; });
  const ChainPlan plan = ImaginedCertify(learn, 200, 0).plan(0.95, 0.1, 0.05);
  Rows rows;
  for (int i = 1; i <= 200; ++i) rows.score.push_back(i / 201.0), rows.disagree.push_back(0);
  const auto out = certify(rows, plan, 0.95, 0.1);
  EXPECT_TRUE(out.certified);
  EXPECT_EQ(out.handled, 200);
  EXPECT_EQ(out.threshold, 0);
}

// ---- validity, as a statistic --------------------------------------------------------------------------------------

struct Curve {
  const char* name;
  std::function<double(double)> risk;  // of a row with score s, scores uniform in (0, 1)
  double grain = 0;                    // scores are rounded up to multiples of this: ties
  std::function<double(double)>
      learned;  // what learn showed, where the certify rows have drifted from it (in plan only)
};

// Share of disagreement above t, by quadrature on a fine grid.
double disagreement_above(const Curve& c, double t) {
  double sum = 0;
  int64_t count = 0;
  for (double s = t + 0.5e-5; s < 1; s += 1e-5) sum += c.risk(s), ++count;
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

TEST(RankChain, FalseCertificatesAreRarerThanDelta) {
  constexpr double kDelta = 0.10;
  const double e = 0.1;  // epsilon
  const std::vector<Curve> curves = {
      {"level, just above epsilon", [&](double) { return e + 1e-4; }, 0, {}},
      {"crosses epsilon half way", [&](double s) { return std::min(1.0, 4 * e * (1 - s)); }, 0, {}},
      {"steep", [&](double s) { return s > 0.7 ? 0.02 : 0.5; }, 0, {}},
      {"best rows bad", [&](double s) { return s > 0.9 ? 0.3 : 0.05; }, 0, {}},
      // Cumulative disagreement hovers a little above and below epsilon, block by block.
      {"blocks about epsilon", [&](double s) { return static_cast<int>(s * 8) % 2 == 0 ? e * 0.4 : e * 1.62; }, 0, {}},
      {"ties", [&](double s) { return s > 0.6 ? 0.06 : 0.17; }, 0.2, {}},
      {"one tie", [&](double) { return e * 1.001; }, 1.0, {}},
      {"planned on a rosier learn set", [&](double s) { return s > 0.5 ? e * 1.02 : 0.2; }, 0,
       [](double) { return 0.03; }},
  };
  const int64_t sizes[] = {60, 200};
  const double evidence = 0.01 / static_cast<double>(curves.size() * std::size(sizes));
  for (const Curve& curve : curves) {
    std::vector<double> above(1001);  // disagreement above t = i / 1000
    for (int i = 0; i <= 1000; ++i) above[i] = disagreement_above(curve, i / 1000.0);
    for (int64_t n : sizes) {
      int64_t trials = 0, wrong = 0;
      for (uint64_t plan_seed = 0; plan_seed < 4; ++plan_seed) {
        const auto rounded = [&](double s) {
          return curve.grain > 0 ? std::ceil(s / curve.grain) * curve.grain * 0.999 : s;
        };
        LearnScores learn = learn_from(600, plan_seed, curve.learned ? curve.learned : curve.risk);
        for (double& s : learn.score) s = rounded(s);
        const ChainPlan plan = ImaginedCertify(learn, n, plan_seed).plan(1 - e, kDelta, 0.05);
        ASSERT_TRUE(plan.possible);
        Draws draws(1000 + plan_seed);
        Rows rows{std::vector<double>(n), std::vector<uint8_t>(n)};
        for (int64_t trial = 0; trial < 1000 / kSlower; ++trial, ++trials) {
          for (int64_t i = 0; i < n; ++i) {
            const double s = draws.uniform();
            rows.score[i] = rounded(s);
            rows.disagree[i] = draws.uniform() < curve.risk(s);
          }
          const auto out = certify(rows, plan, 1 - e, kDelta);
          if (!out.certified) continue;
          // Handled are the scores above the threshold: with ties, whole cells of the grid.
          const double t = curve.grain > 0 ? out.threshold / 0.999 : out.threshold;
          wrong += above[static_cast<size_t>(std::lround(t * 1000))] > e;
        }
      }
      EXPECT_FALSE(testing::violates(wrong, trials, kDelta, evidence))
          << curve.name << ", n " << n << ": " << wrong << " of " << trials;
    }
  }
}

}  // namespace
}  // namespace tracer
