#include "engine/rank_chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <vector>

#include "engine/binomial.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

struct Rows {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
};

ChainPlan range(int64_t a, int64_t b) { return {true, a, b, 0, 0}; }

CertifyOutcome certify(const Rows& rows, const ChainPlan& plan, double alpha, double delta, int64_t n_certify = -1) {
  const auto n = static_cast<int64_t>(rows.score.size());
  return certify_by_rank(rows.score, rows.disagree, n_certify < 0 ? n : n_certify, plan, alpha, delta);
}

// Scores falling from 0.99 in steps of 0.01, so that rank r has score 1 - r / 100.
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

// ---- validity with ties, by enumeration ----------------------------------------------------------------------------

// The whole procedure again, from its description, on counts per atom of the score (best atom first).
struct Chain {
  std::vector<int64_t> allowed, k;
  Chain(int64_t n, double epsilon, double delta) : allowed(critical_values(n, epsilon, delta)) {
    for (int64_t r = 0; r <= n; ++r)
      if (allowed[r] >= static_cast<int64_t>(k.size())) k.push_back(r);
  }
  // Atoms handled; 0 = refused. The last sampled atom passing means that every atom is handled.
  int handled(const int* rows, const int* bad, int atoms, int64_t a, int64_t b) const {
    int64_t n = 0;
    for (int j = 0; j < atoms; ++j) n += rows[j];
    int passed = 0, at = 0;
    if (n == 0) return 0;
    int64_t seen = rows[0], wrong = bad[0];  // up to and including atom `at`
    const auto test = [&](int64_t rank) {
      rank = std::min(rank, n);
      if (rank == 0) return false;
      while (seen < rank) ++at, seen += rows[at], wrong += bad[at];
      if (at < passed) return true;
      if (wrong > allowed[seen]) return false;
      passed = at + 1;
      return true;
    };
    bool going = true;
    for (int64_t c = a; going && c <= b; ++c) going = test(k[c]);
    for (int64_t r = k[b] + 1; going && r <= n; ++r) going = test(r);
    if (passed == 0) return 0;
    // Handled are the atoms above the next sampled one.
    int next = passed;
    while (next < atoms && rows[next] == 0) ++next;
    return next;
  }
};

struct Population {
  int atoms = 0;
  double mass[4] = {}, risk[4] = {};  // the rest of the mass never passes the gate
};

// P(a false certificate), summed over every outcome of n draws.
class Enumeration {
 public:
  Enumeration(const Chain& chain, const Population& q, int n, int64_t a, int64_t b, double epsilon)
      : chain_(chain), atoms_(q.atoms), a_(a), b_(b) {
    double mass = 0, bad_mass = 0, gated = 1;
    for (int j = 0; j < atoms_; ++j) {
      mass += q.mass[j], bad_mass += q.mass[j] * q.risk[j], gated -= q.mass[j];
      wrong_if_[j + 1] = bad_mass > epsilon * mass * (1 + 1e-12);
      // term[r][d]: mass^r / r! times P(d of r disagree).
      double front = 1;
      for (int r = 0; r <= n; ++r) {
        if (r > 0) front *= q.mass[j] / r;
        double choose = 1;
        for (int d = 0; d <= r; ++d) {
          if (d > 0) choose = choose * (r - d + 1) / d;
          term_[j][r][d] = front * choose * std::pow(q.risk[j], d) * std::pow(1 - q.risk[j], r - d);
        }
      }
    }
    double front = 1;
    for (int r = 0; r <= n; ++r) {
      if (r > 0) front *= std::max(0.0, gated) / r;
      gated_[r] = front;
    }
    place<0>(n, std::tgamma(n + 1.0));
  }
  double value() const { return value_; }

 private:
  template <int kAtom>
  void place(int left, double weight) {
    if (kAtom == atoms_) {
      const double p = weight * gated_[left];
      if (p > 0 && wrong_if_[chain_.handled(rows_, bad_, atoms_, a_, b_)]) value_ += p;
      return;
    }
    if constexpr (kAtom < 4) {
      for (int r = 0; r <= left; ++r)
        for (int d = 0; d <= r; ++d) {
          rows_[kAtom] = r, bad_[kAtom] = d;
          if (term_[kAtom][r][d] > 0) place<kAtom + 1>(left - r, weight * term_[kAtom][r][d]);
        }
    }
  }
  const Chain& chain_;
  int atoms_;
  int64_t a_, b_;
  bool wrong_if_[5] = {};  // handling the best h atoms breaks the promise
  double term_[4][20][20] = {}, gated_[20] = {};
  int rows_[4] = {}, bad_[4] = {};
  double value_ = 0;
};

double false_certificate(const Chain& chain, const Population& q, int n, int64_t a, int64_t b, double epsilon) {
  return Enumeration(chain, q, n, a, b, epsilon).value();
}

TEST(RankChain, EnumerationSpeaksOfTheSameProcedure) {
  Draws draws(21);
  for (int trial = 0; trial < 3000; ++trial) {
    const int atoms = 1 + static_cast<int>(draws.below(4));
    const int64_t n = 4 + draws.below(12);
    const double epsilon = draws.uniform() < 0.5 ? 0.5 : 0.3, delta = 0.2;
    const Chain chain(n, epsilon, delta);
    if (chain.k.empty()) continue;
    const auto levels = static_cast<int64_t>(chain.k.size());
    const int64_t a = draws.below(levels), b = a + draws.below(levels - a);
    Rows rows;
    int count[4] = {}, bad[4] = {};
    for (int64_t i = draws.below(3); i < n; ++i) {
      const auto j = static_cast<int>(draws.below(atoms));
      const bool wrong = draws.uniform() < 0.25;
      rows.score.push_back(0.9 - 0.1 * j), rows.disagree.push_back(wrong);
      ++count[j], bad[j] += wrong;
    }
    const auto out = certify(rows, range(a, b), 1 - epsilon, delta, n);
    const int handled = chain.handled(count, bad, atoms, a, b);
    ASSERT_EQ(out.certified, handled > 0) << trial;
    if (!out.certified) continue;
    int want = 0;
    for (int j = 0; j < atoms; ++j) want += 0.9 - 0.1 * j > out.threshold;
    ASSERT_EQ(want, handled) << trial;
  }
}

// With ties there is no proof. Small adversarial populations, random and then climbed towards more false certificates,
// every outcome summed exactly: none may exceed delta.
TEST(RankChain, NoPopulationWithTiesExceedsDelta) {
  Draws draws(77);
  double worst = 0;
  int64_t configurations = 0;
  const int64_t starts = 3500 / kSlower;
  for (int64_t start = 0; start < starts; ++start) {
    const double deltas[] = {0.05, 0.1, 0.2, 0.3}, epsilons[] = {0.5, 0.4, 0.3, 0.2};
    const double delta = deltas[draws.below(4)], epsilon = epsilons[draws.below(4)];
    const int atoms = 2 + static_cast<int>(draws.below(3));
    const int n = atoms == 4
                      ? 4 + static_cast<int>(draws.below(3))
                      : (atoms == 3 ? 4 + static_cast<int>(draws.below(6)) : 4 + static_cast<int>(draws.below(14)));
    const Chain chain(n, epsilon, delta);
    if (chain.k.empty()) continue;
    const auto levels = static_cast<int64_t>(chain.k.size());
    const int64_t a = draws.below(levels), b = a + draws.below(levels - a);
    const auto normalise = [&](Population& q) {
      double sum = 0;
      for (int j = 0; j < atoms; ++j) sum += q.mass[j];
      if (sum > 1)
        for (int j = 0; j < atoms; ++j) q.mass[j] /= sum;
    };
    Population q;
    q.atoms = atoms;
    for (int j = 0; j < atoms; ++j) {
      q.mass[j] = -std::log(1 - draws.uniform());
      q.risk[j] = draws.uniform() < 0.5 ? epsilon * (1 + 0.02 * draws.normal()) : draws.uniform();
      q.risk[j] = std::clamp(q.risk[j], 0.0, 1.0);
    }
    normalise(q);
    if (draws.uniform() < 0.3) {  // a share never passes the gate
      const double passes = draws.uniform();
      for (int j = 0; j < atoms; ++j) q.mass[j] *= passes;
    }
    double value = false_certificate(chain, q, n, a, b, epsilon);
    ++configurations;
    double width = 0.5;
    for (int step = 0; step < 60; ++step) {
      Population next = q;
      for (int j = 0; j < atoms; ++j) {
        if (draws.uniform() < 0.6) next.mass[j] *= std::exp(width * draws.normal());
        if (draws.uniform() < 0.6) next.risk[j] = std::clamp(next.risk[j] + 0.3 * width * draws.normal(), 0.0, 1.0);
      }
      if (draws.uniform() < 0.3) {  // as good as it may be while still breaking the promise
        double sum = 0, bad = 0;
        for (int j = 0; j < atoms; ++j) {
          sum += next.mass[j], bad += next.mass[j] * next.risk[j];
          const double missing = epsilon * sum * (1 + 1e-9) - bad;
          const double risk = next.risk[j] + missing / next.mass[j];
          if (draws.uniform() < 0.5 && risk > 0 && risk < 1) bad += missing, next.risk[j] = risk;
        }
      }
      normalise(next);
      const double changed = false_certificate(chain, next, n, a, b, epsilon);
      ++configurations;
      if (changed > value)
        value = changed, q = next;
      else
        width = std::max(0.02, width * 0.96);
    }
    worst = std::max(worst, value / delta);
    ASSERT_TRUE(value <= delta + 1e-9) << "delta " << delta << " epsilon " << epsilon << " n " << n << " chain " << a
                                       << ".." << b << " false " << value;
  }
  RecordProperty("configurations", std::to_string(configurations));
  std::cout << configurations << " configurations, worst " << worst << " of delta\n";
  EXPECT_GT(worst, 0.95);  // the search does reach the edge: it is not vacuous
}

}  // namespace
}  // namespace tracer
