// Live agreement of a policy on audited rows, as they arrive: bounds that hold at every moment at once, and the alarm.
// Why they hold: docs/updating.md, after Robbins' mixtures.
#pragma once

#include <cstdint>

namespace tracer {

// The logarithm of a wager against "each row disagrees with probability at most rate, whatever came before": the mean,
// over alternatives u spread evenly over (rate, 1), of the likelihood ratio of u to rate after `bad` disagreements in n
// rows. A supermartingale from 1 under that claim: it ever reaches 1/delta with probability at most delta.
double log_mixture_wager(int64_t bad, int64_t n, double rate);

class AuditBounds {
 public:
  // Each bound fails ever, and the alarm is ever false, with probability at most delta.
  AuditBounds(double alpha, double delta) : alpha_(alpha), delta_(delta) {}

  // One audited row that the policy handled, in order of arrival.
  void add(bool disagree);

  int64_t rows() const { return rows_; }
  int64_t disagreements() const { return bad_; }
  // Of the probability of agreement: the tightest so far. upper() < alpha is the alarm, and stays.
  double lower() const { return lower_; }
  double upper() const { return upper_; }
  bool alarm() const { return alarm_at_ > 0; }
  int64_t alarm_at() const { return alarm_at_; }  // handled rows when it fired; 0: never

 private:
  double alpha_, delta_;
  int64_t rows_ = 0, bad_ = 0, alarm_at_ = 0;
  double lower_ = 0, upper_ = 1;
};

}  // namespace tracer
