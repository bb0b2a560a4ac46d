// Validity of the rank chain where scores tie, by enumeration: there is no proof for ties.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <vector>

#include "engine/maths/binomial.h"
#include "engine/prove/rank_chain.h"
#include "tests/engine/chain_rows.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::kSlower;

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
