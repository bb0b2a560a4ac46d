// Certifying a challenger on audited traffic, row by row as it arrives. Source: docs/guarantee.md, "Updating"; why it
// holds: docs/updating.md.
//
// One wager a threshold t: a row scored at least t multiplies it by q/epsilon where the teacher disagrees, else by
// (1 - q)/(1 - epsilon), with epsilon = 1 - alpha and q < epsilon. Where rows above t disagree with probability epsilon
// or more, whatever came before, the wager is a supermartingale from 1 and ever reaches 1/delta with probability at
// most delta (Ville), so it may be looked at after every row. Thresholds and q are fixed before the first row, and the
// thresholds passed in a fixed order, so that all of them together err with probability at most delta.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/prove/rank_chain.h"

namespace tracer {

// The share of delta that challenger j (from 1) is tested at: delta / (j (j + 1)); all of them together use delta.
double challenger_level(double delta, int64_t j);

struct AuditPlan {
  double alpha = 0;
  double level = 0;               // delta of this challenger
  std::vector<double> threshold;  // descending: the order of the tests; handles score >= threshold
  std::vector<double> bet;        // q of each threshold, at most 0.8 epsilon
  std::vector<double> share;      // of learn rows scored at least threshold, out-of-fold
  int64_t patience = 0;           // audit rows after which every threshold worth waiting for should have passed
};

// On learn alone. learn: out-of-fold scores of rows drawn as the traffic is (biased ones only cost power). Thresholds
// are at most 60 quantiles of the scores, from the one expected to pass with the fewest audit rows down to the lowest
// that learn does not put above epsilon; none where no threshold handles min_coverage of the rows and disagrees less
// than epsilon. A bet is the out-of-fold disagreement and one standard error, within [0.2, 0.8] epsilon.
AuditPlan plan_audit(const LearnScores& learn, double alpha, double level, double min_coverage);

class AuditWager {
 public:
  explicit AuditWager(AuditPlan plan);

  // One audit row, in order of arrival. handled_above_gate: false where the policy defers the row whatever its score.
  // disagree: also where the audited row came back without a usable answer.
  void add(double score, bool handled_above_gate, bool disagree);

  // How many thresholds have passed, from the first on: those whose wager has ever reached 1/level.
  int64_t passed() const;

  struct State {
    double log_wager = 0, best = 0;  // now, and the most it has been
    int64_t handled = 0, disagreements = 0;
  };
  const AuditPlan& plan() const { return plan_; }
  const std::vector<State>& state() const { return state_; }
  int64_t rows() const { return rows_; }

 private:
  AuditPlan plan_;
  std::vector<State> state_;
  std::vector<double> if_disagree_, if_agree_;  // what a row adds to the logarithm
  int64_t rows_ = 0;
};

}  // namespace tracer
