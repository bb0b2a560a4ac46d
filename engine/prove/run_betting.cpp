#include "engine/prove/run_betting.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/maths/binomial.h"
#include "engine/maths/random.h"
#include "kernels/matrix.h"

namespace tracer {
namespace {

constexpr double kBets[] = {0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.999};  // over m (1 - epsilon)
constexpr int64_t kBetCount = std::size(kBets);
constexpr int64_t kThresholds = 60;
constexpr int64_t kResamples = 300, kFewestResamples = 50;
constexpr int64_t kMostDraws = 3'000'000;  // resamples * units

// X(g, t) for every unit and threshold; thresholds descend, so each row adds to a suffix.
Matrix<double> excess(const RunScores& rows, std::span<const double> threshold, double epsilon) {
  const int64_t count = static_cast<int64_t>(threshold.size());
  Matrix<double> x(rows.units, count);
  for (size_t i = 0; i < rows.score.size(); ++i) {
    const auto at = std::lower_bound(threshold.begin(), threshold.end(), rows.score[i], std::greater<double>());
    if (at != threshold.end()) x(rows.unit[i], at - threshold.begin()) += rows.disagree[i] - epsilon;
  }
  for (int64_t g = 0; g < rows.units; ++g)
    for (int64_t t = 1; t < count; ++t) x(g, t) += x(g, t - 1);
  return x;
}

int64_t rows_above(const RunScores& rows, double threshold) {
  return std::count_if(rows.score.begin(), rows.score.end(), [&](double s) { return s >= threshold; });
}

void fill_outcome(const RunScores& rows, double threshold, CertifyOutcome& out) {
  out.certified = true;
  out.threshold = std::nextafter(threshold, 0.0);  // handled iff score > threshold
  out.handled = 0;
  out.disagreements = 0;
  for (size_t i = 0; i < rows.score.size(); ++i)
    if (rows.score[i] >= threshold) ++out.handled, out.disagreements += rows.disagree[i];
}

}  // namespace

BettingPlan plan_betting(const RunScores& learn, int64_t learn_rows, int64_t n_units, int64_t n_rows, int64_t unit_rows,
                         double alpha, double delta, double min_coverage, uint64_t seed) {
  BettingPlan plan;
  const int64_t eligible = static_cast<int64_t>(learn.score.size());
  if (eligible == 0 || learn.units < 2 || n_units == 0) return plan;
  const double epsilon = 1 - alpha;
  std::vector<double> sorted(learn.score);
  std::sort(sorted.begin(), sorted.end(), std::greater<double>());
  std::vector<double> share;  // of all rows, out-of-fold
  for (int64_t t = 1; t <= kThresholds; ++t) {
    const int64_t rank = std::max<int64_t>(1, t * eligible / kThresholds);
    const double value = sorted[rank - 1];
    if (!plan.threshold.empty() && value >= plan.threshold.back()) continue;
    const double covered = static_cast<double>(rows_above(learn, value)) / static_cast<double>(learn_rows);
    if (covered < min_coverage) continue;
    plan.threshold.push_back(value);
    share.push_back(covered);
  }
  const int64_t count = static_cast<int64_t>(plan.threshold.size());
  if (count == 0) return plan;
  const Matrix<double> x = excess(learn, plan.threshold, epsilon);

  // Design effects: variance of run totals of (disagree - mean) over n q (1 - q).
  for (int64_t t = 0; t < count; ++t) {
    double rows = 0, bad = 0;
    std::vector<double> in_unit(learn.units, 0), bad_in_unit(learn.units, 0);
    for (int64_t i = 0; i < eligible; ++i)
      if (learn.score[i] >= plan.threshold[t]) {
        ++rows, bad += learn.disagree[i];
        ++in_unit[learn.unit[i]], bad_in_unit[learn.unit[i]] += learn.disagree[i];
      }
    const double q = bad / rows, plain = rows * q * (1 - q);
    double clustered = 0;
    for (int64_t g = 0; g < learn.units; ++g) clustered += std::pow(bad_in_unit[g] - q * in_unit[g], 2);
    plan.design_effect.push_back(plain > 0 ? std::max(1.0, clustered / plain) : 1.0);
  }

  // Growth of the wager in each resampled certify set, one bet at a time: the bet kept for a threshold is the one that
  // passes most often. Resample s draws the same units for every bet.
  const double wanted = -std::log(delta), most_rows = static_cast<double>(unit_rows) * alpha;
  const int64_t resamples = std::clamp<int64_t>(kMostDraws / n_units, kFewestResamples, kResamples);
  const Random random(seed, Stream::kBet);
  Matrix<uint8_t> passed(resamples, count), trial(resamples, count);  // under the bet kept; under this bet
  std::vector<int64_t> best_passes(count, -1);
  plan.bet.assign(count, 0);
  Matrix<double> growth(learn.units, count);  // ln(1 - lambda X)
  std::vector<int32_t> times(learn.units);
  std::vector<double> sum(count);
  for (double fraction : kBets) {
    const double lambda = fraction / most_rows;
    for (int64_t i = 0; i < growth.size(); ++i) growth.data()[i] = std::log1p(-lambda * x.data()[i]);
    std::vector<int64_t> passes(count, 0);
    for (int64_t s = 0; s < resamples; ++s) {
      std::fill(times.begin(), times.end(), 0);
      for (int64_t i = 0; i < n_units; ++i) ++times[random.below(static_cast<uint64_t>(s * n_units + i), learn.units)];
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t g = 0; g < learn.units; ++g)
        if (times[g] > 0)
          for (int64_t t = 0; t < count; ++t) sum[t] += times[g] * growth(g, t);
      for (int64_t t = 0; t < count; ++t) passes[t] += trial(s, t) = sum[t] >= wanted;
    }
    for (int64_t t = 0; t < count; ++t) {
      if (passes[t] <= best_passes[t]) continue;
      best_passes[t] = passes[t];
      plan.bet[t] = lambda;
      for (int64_t s = 0; s < resamples; ++s) passed(s, t) = trial(s, t);
    }
  }
  // Where the sequence starts: the best mean coverage over the same resamples.
  int64_t start = 0;
  double best = -1;
  for (int64_t a = 0; a < count; ++a) {
    double total = 0, deployed = 0;
    for (int64_t s = 0; s < resamples; ++s) {
      int64_t t = a;
      while (t < count && passed(s, t)) ++t;
      if (t > a) total += share[t - 1], ++deployed;
    }
    if (total > best) {
      best = total, start = a;
      plan.expected_coverage = total / static_cast<double>(resamples);
      plan.expected_deploy = deployed / static_cast<double>(resamples);
    }
  }
  // The best case: every row handled and agreeing, under the boldest bet. The logarithm is concave, so rows spread
  // evenly over the units gain the most.
  const double units = static_cast<double>(n_units);
  const double most =
      units * std::log1p(kBets[kBetCount - 1] * epsilon * static_cast<double>(n_rows) / (units * most_rows));
  plan.possible = most >= wanted;
  plan.threshold.erase(plan.threshold.begin(), plan.threshold.begin() + start);
  plan.bet.erase(plan.bet.begin(), plan.bet.begin() + start);
  plan.design_effect.erase(plan.design_effect.begin(), plan.design_effect.begin() + start);
  return plan;
}

CertifyOutcome certify_by_runs(const RunScores& certify, const BettingPlan& plan, double alpha, double delta) {
  CertifyOutcome out;
  if (!plan.possible || plan.threshold.empty()) {
    out.detail = "too few certify runs for this target";
    return out;
  }
  const Matrix<double> x = excess(certify, plan.threshold, 1 - alpha);
  const double wanted = -std::log(delta);
  for (size_t t = 0; t < plan.threshold.size(); ++t) {
    double sum = 0;
    for (int64_t g = 0; g < certify.units; ++g) sum += std::log1p(-plan.bet[t] * x(g, static_cast<int64_t>(t)));
    ++out.tested;
    if (!(sum >= wanted)) {
      if (t == 0)
        out.detail = "the wager on runs reached " + std::to_string(std::exp(std::min(sum, 700.0))) + ", " +
                     std::to_string(1 / delta) + " needed";
      break;
    }
    fill_outcome(certify, plan.threshold[t], out);
  }
  return out;
}

CertifyOutcome certify_approximately(const RunScores& certify, const BettingPlan& plan, double alpha, double delta) {
  CertifyOutcome out;
  for (size_t t = 0; t < plan.threshold.size(); ++t) {
    CertifyOutcome trial;
    fill_outcome(certify, plan.threshold[t], trial);
    const double effect = plan.design_effect[t];
    const auto rows = static_cast<int64_t>(std::floor(static_cast<double>(trial.handled) / effect));
    const auto bad = static_cast<int64_t>(std::ceil(static_cast<double>(trial.disagreements) / effect));
    // Too few rows to show anything, however they turn out: no test, and no reason to stop.
    if (!(binomial_cdf(0, rows, 1 - alpha) <= delta)) continue;
    ++out.tested;
    if (!(binomial_cdf(bad, rows, 1 - alpha) <= delta)) break;
    trial.tested = out.tested;
    out = trial;
  }
  if (!out.certified) out.detail = "the design-effect estimate does not reach the target";
  return out;
}

double unit_correlation(std::span<const double> value, std::span<const int32_t> unit) {
  if (value.empty()) return 0;
  const int32_t units = *std::max_element(unit.begin(), unit.end()) + 1;
  const double n = static_cast<double>(value.size());
  const double mean = std::accumulate(value.begin(), value.end(), 0.0) / n;
  std::vector<double> sum(units, 0), squares(units, 0), rows(units, 0);
  double variance = 0, size = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    const double e = value[i] - mean;
    sum[unit[i]] += e, squares[unit[i]] += e * e, ++rows[unit[i]];
    variance += e * e / n;
    size += value[i] * value[i] / n;
  }
  // Sum over pairs inside a unit; uncorrelated products have variance variance^2 each.
  double products = 0, pairs = 0;
  for (int32_t g = 0; g < units; ++g) {
    products += 0.5 * (sum[g] * sum[g] - squares[g]);
    pairs += 0.5 * rows[g] * (rows[g] - 1);
  }
  // Values that are all equal leave a variance of rounding errors, perfectly correlated.
  return pairs > 0 && variance > 1e-20 * size ? products / (variance * std::sqrt(pairs)) : 0;
}

}  // namespace tracer
