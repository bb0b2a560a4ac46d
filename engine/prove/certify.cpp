#include "engine/prove/certify.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/binomial.h"

namespace tracer {
namespace {

constexpr double kCorrelated = 2.6;  // one-sided 0.5 %

RunScores eligible_runs(const std::vector<double>& score, const std::vector<uint8_t>& disagree,
                        const std::vector<uint8_t>& gated, const std::vector<int32_t>& unit) {
  RunScores rows;
  for (size_t i = 0; i < score.size(); ++i) {
    rows.units = std::max<int64_t>(rows.units, unit[i] + 1);
    if (gated[i]) continue;
    rows.score.push_back(score[i]);
    rows.disagree.push_back(disagree[i]);
    rows.unit.push_back(unit[i]);
  }
  return rows;
}

int64_t largest_unit(const std::vector<int32_t>& unit) {
  std::vector<int64_t> size;
  int64_t largest = 0;
  for (int32_t u : unit) {
    if (u >= static_cast<int32_t>(size.size())) size.resize(u + 1, 0);
    largest = std::max(largest, ++size[u]);
  }
  return largest;
}

}  // namespace

UnitChoice choose_unit(const LearnSide& learn, Unit asked, double alpha, bool split_has_runs) {
  UnitChoice choice;
  if (!split_has_runs) {
    choice.reason = "rows were drawn one by one";
    return choice;
  }
  if (asked != Unit::kAuto) {
    choice.runs = asked == Unit::kRuns;
    choice.reason = "asked for";
    return choice;
  }
  // The rows that a policy at alpha would handle: the longest prefix with no more than 1 - alpha disagreement.
  const int64_t n = static_cast<int64_t>(learn.score.size());
  const LearnScores eligible = eligible_scores(learn.score, learn.disagree, learn.gated);
  const auto order = best_first(eligible.score);
  double bad = 0, threshold = 2;
  for (size_t r = 0; r < order.size(); ++r) {
    bad += eligible.disagree[order[r]];
    if (bad <= (1 - alpha) * static_cast<double>(r + 1)) threshold = eligible.score[order[r]];
  }
  std::vector<double> all(n), handled(n, 0.0);
  for (int64_t i = 0; i < n; ++i) {
    all[i] = learn.disagree[i];
    if (!learn.gated[i] && learn.score[i] >= threshold) handled[i] = learn.disagree[i] - (1 - alpha);
  }
  choice.z = std::max(unit_correlation(all, learn.unit), unit_correlation(handled, learn.unit));
  choice.runs = choice.z > kCorrelated;
  choice.reason = choice.runs ? "out-of-fold disagreements are correlated inside runs"
                              : "out-of-fold disagreements show no correlation inside runs";
  return choice;
}

ProofUnit proof_unit(const UnitChoice& choice, SplitKind split) {
  if (!choice.runs) return ProofUnit::kRows;
  return split == SplitKind::kGroups ? ProofUnit::kGroups : ProofUnit::kRuns;
}

Certifier::Certifier(const LearnSide& learn, ProofUnit unit, const CertifyOptions& options, int64_t n_certify,
                     int64_t n_units, int64_t unit_rows)
    : options_(options),
      unit_(unit),
      runs_(unit != ProofUnit::kRows),
      n_certify_(n_certify),
      n_units_(n_units),
      unit_rows_(unit_rows),
      n_learn_(static_cast<int64_t>(learn.score.size())),
      learn_rows_(learn.rows > 0 ? learn.rows : n_learn_) {
  learn_ = eligible_scores(learn.score, learn.disagree, learn.gated);
  if (runs_) {
    learn_runs_ = eligible_runs(learn.score, learn.disagree, learn.gated, learn.unit);
  } else {
    imagined_.emplace(learn_, n_certify, options.seed);
  }
}

Certificate Certifier::certify(const CertifySide& side, double alpha) const {
  Certificate c;
  c.alpha = alpha;
  c.delta = options_.delta;
  c.unit = unit_;
  c.n_learn = learn_rows_;
  c.n_certify = n_certify_;
  c.n_units = n_units_;
  c.unit_rows = runs_ ? unit_rows_ : 1;
  CertifyOutcome outcome;
  if (runs_ && largest_unit(side.unit) > unit_rows_) {
    outcome.detail = "a unit holds more than " + std::to_string(unit_rows_) + " rows";
  } else if (runs_) {
    const BettingPlan plan = plan_betting(learn_runs_, n_learn_, n_units_, n_certify_, unit_rows_, alpha,
                                          options_.delta, options_.min_coverage, options_.seed);
    RunScores rows = eligible_runs(side.score, side.disagree, side.gated, side.unit);
    rows.units = side.units;
    c.expected_coverage = plan.expected_coverage;
    outcome = certify_by_runs(rows, plan, alpha, options_.delta);
    if (!outcome.certified && options_.approximate) {
      const CertifyOutcome estimate = certify_approximately(rows, plan, alpha, options_.delta);
      if (estimate.certified) outcome = estimate, c.approximate = true;
    }
  } else {
    const LearnScores rows = eligible_scores(side.score, side.disagree, side.gated);
    const ChainPlan plan = imagined_->plan(alpha, options_.delta, options_.min_coverage);
    c.expected_coverage = plan.expected_coverage;
    outcome = certify_by_rank(rows.score, rows.disagree, n_certify_, plan, alpha, options_.delta);
  }
  c.tested = outcome.tested;
  const double least = options_.min_coverage * static_cast<double>(n_certify_);
  if (outcome.certified && static_cast<double>(outcome.handled) < least) {
    outcome.certified = false;
    outcome.detail = "handles less than the minimum coverage";
  }
  if (!outcome.certified) {
    c.method = Method::kRefused;
    c.reason = outcome.detail;
    c.threshold = 1;
    c.estimate = estimate(alpha);
    return c;
  }
  c.certified = true;
  c.threshold = outcome.threshold;
  c.method = outcome.threshold > 0 ? Method::kL2d : Method::kGlobal;
  c.n_handled = outcome.handled;
  c.n_agree = outcome.handled - outcome.disagreements;
  return c;
}

RefusalEstimate Certifier::estimate(double alpha) const {
  RefusalEstimate e;
  const double epsilon = 1 - alpha;
  // A run gains at most ln(1 + 0.999 epsilon / alpha).
  e.fewest_handled =
      runs_ ? static_cast<int64_t>(std::ceil(-std::log(options_.delta) / std::log1p(0.999 * epsilon / alpha)))
            : fewest_certifying_rows(alpha, options_.delta);
  const auto bad = disagreements_by_rank(learn_);
  const int64_t n = static_cast<int64_t>(bad.size()) - 1;
  if (n == 0 || n_certify_ == 0) return e;
  const double per_learn = static_cast<double>(n_certify_) / static_cast<double>(n_learn_);
  const auto least = static_cast<int64_t>(std::ceil(options_.min_coverage * static_cast<double>(n_learn_)));
  // Whether a certify set `times` as large would be expected to allow some prefix.
  const auto in_reach = [&](double target, double times) {
    for (int64_t r = std::max<int64_t>(1, least); r <= n; r += std::max<int64_t>(1, n / 400)) {
      const double scale = per_learn * times;
      const auto rows = static_cast<int64_t>(static_cast<double>(r) * scale);
      const auto errors = static_cast<int64_t>(std::ceil(static_cast<double>(bad[r]) * scale));
      if (rows > 0 && errors < rows && binomial_cdf(errors, rows, 1 - target) <= options_.delta) return true;
    }
    return false;
  };
  for (int step = 1; step <= 100 && !e.best_alpha; ++step) {
    const double target = 1 - 0.005 * step;
    // Below the alpha just refused: in_reach takes rows for units, and is no match for a test that did not pass.
    if (target >= 0.5 && target < alpha - 1e-9 && in_reach(target, 1)) e.best_alpha = target;
  }
  // The certify side grows with the log; the out-of-fold curve is taken to stay as it is.
  const double total = static_cast<double>(learn_rows_ + n_certify_);
  for (double times = 1; times <= 1024; times *= 1.25)
    if (in_reach(alpha, times)) {
      e.traces_missing = static_cast<int64_t>(std::ceil(total * (times - 1)));
      break;
    }
  return e;
}

std::vector<double> distinct_alphas(std::vector<double> alphas) {
  std::sort(alphas.begin(), alphas.end());
  alphas.erase(std::unique(alphas.begin(), alphas.end(), [](double a, double b) { return b - a < 1e-9; }),
               alphas.end());
  return alphas;
}

Certificate refuse_too_few(const Split& split, const std::string& for_what, const CertifyOptions& options,
                           double alpha) {
  Certificate c = Certifier({}, ProofUnit::kRows, options, 0, 0, 1).certify({}, alpha);
  c.n_learn = static_cast<int64_t>(split.learn.size());
  c.n_certify = static_cast<int64_t>(split.certify.size());
  c.reason = "too few traces: " + std::to_string(c.n_learn) + " " + for_what + ", " + std::to_string(c.n_certify) +
             " to certify on";
  return c;
}

}  // namespace tracer
