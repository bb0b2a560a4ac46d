// Betting on runs: a certificate about traffic that comes in independent runs of at most m rows, exact whatever happens
// inside such a run. Source: docs/guarantee.md, step 6 ("unit runs or groups").
//
// X_g(t) = sum over rows of run g with score >= t of (disagree - epsilon). If agreement above t is below 1 - epsilon,
// then E X_g(t) >= 0 and the product of 1 - lambda * X_g(t) over independent runs has expectation at most 1 (lambda *
// X_g < 1 since a run holds at most m rows); it reaches 1/delta with probability at most delta (Markov). Thresholds,
// their lambda and m are fixed before a certify run is opened, and the thresholds tested in a fixed sequence. Runs of
// more than m rows are no part of the claim: the caller leaves them out, by their size alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/prove/rank_chain.h"

namespace tracer {

struct RunScores {
  std::vector<double> score;  // of the rows that pass the gate
  std::vector<uint8_t> disagree;
  std::vector<int32_t> unit;  // dense from 0
  int64_t units = 0;          // including units none of whose rows pass the gate
};

struct BettingPlan {
  std::vector<double> threshold;      // descending: the order of the tests
  std::vector<double> bet;            // lambda for each threshold
  std::vector<double> design_effect;  // variance of run totals over the binomial one, out-of-fold, >= 1
  double expected_coverage = 0;
  double expected_deploy = 0;
  bool possible = false;  // false: not even the best outcome of n_units and n_rows reaches 1/delta
};

// On learn alone: thresholds at out-of-fold quantiles, bets and the start of the sequence by resampling runs.
// n_units, n_rows: the size of the certify set; unit_rows: m. n_rows decides nothing but `possible`, which is false
// only where no outcome certifies: the sizes of certify runs are part of what is tested. Deterministic in the
// arguments. Cost: 7 bets * 60 thresholds * resamples * min(units), resamples = 300, fewer (down to 50) above 10,000
// certify units. Memory: 1 kB a learn unit.
BettingPlan plan_betting(const RunScores& learn, int64_t learn_rows, int64_t n_units, int64_t n_rows, int64_t unit_rows,
                         double alpha, double delta, double min_coverage, uint64_t seed);

CertifyOutcome certify_by_runs(const RunScores& certify, const BettingPlan& plan, double alpha, double delta);

// Not exact: the binomial test on rows divided by the out-of-fold design effect (false 4-12 % of the time at a nominal
// 10 % under strong run effects). Only where the user asked for an approximation.
CertifyOutcome certify_approximately(const RunScores& certify, const BettingPlan& plan, double alpha, double delta);

// z-score of correlation of a quantity between rows of the same unit (0 mean under independence). Large positive values
// say that rows are not the unit.
double unit_correlation(std::span<const double> value, std::span<const int32_t> unit);

}  // namespace tracer
