#include "engine/prove/audit_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/maths/binomial.h"

namespace tracer {
namespace {

// The largest rate that `bad` disagreements in n rows refute at level delta; 0 where none is. The wager falls with the
// rate up to bad / (n + 1), and is below 1 beyond.
double refuted_rate(int64_t bad, int64_t n, double delta) {
  const double wanted = -std::log(delta);
  double low = 0, high = static_cast<double>(bad) / static_cast<double>(n + 1);
  for (int step = 0; step < 60; ++step) {
    const double middle = 0.5 * (low + high);
    (middle > 0 && log_mixture_wager(bad, n, middle) >= wanted ? low : high) = middle;
  }
  return low;
}

}  // namespace

double log_mixture_wager(int64_t bad, int64_t n, double rate) {
  // The integral of u^bad (1 - u)^(n - bad) over (rate, 1) is a beta function times P(Bin(n + 1, rate) <= bad).
  const double k = static_cast<double>(bad), rest = static_cast<double>(n - bad);
  const double tail = binomial_cdf(bad, n + 1, rate);
  if (!(tail > 0)) return -std::numeric_limits<double>::infinity();
  const double beta = std::lgamma(k + 1) + std::lgamma(rest + 1) - std::lgamma(k + rest + 2);
  return beta + std::log(tail) - (rest + 1) * std::log1p(-rate) - k * std::log(rate);
}

void AuditBounds::add(bool disagree) {
  ++rows_, bad_ += disagree;
  const double wanted = -std::log(delta_);
  // A bound moves only on rows that speak for it, and is searched for only where the last one is refuted too.
  if (disagree) {
    if (upper_ >= 1 || log_mixture_wager(bad_, rows_, 1 - upper_) >= wanted)
      upper_ = std::min(upper_, 1 - refuted_rate(bad_, rows_, delta_));
  } else if (lower_ <= 0 || log_mixture_wager(rows_ - bad_, rows_, lower_) >= wanted) {
    lower_ = std::max(lower_, refuted_rate(rows_ - bad_, rows_, delta_));
  }
  if (alarm_at_ == 0 && upper_ < alpha_) alarm_at_ = rows_;
}

}  // namespace tracer
