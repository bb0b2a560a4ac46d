#include "engine/study/sweep.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "engine/log/subsample.h"
#include "engine/maths/pick.h"
#include "engine/policy/row_scorer.h"
#include "engine/prove/figures.h"

namespace tracer {
namespace {

// The split that each size gets: a log sorted by label is one at every size, though a few rows of it do not show it.
Result<SplitKind> kind_of(const Traces& log, const SplitOptions& options) {
  TRACER_ASSIGN_OR_RETURN(auto whole, make_split(log, options));
  return whole.kind;
}

SweepPoint point_of(const Certificate& c) {
  SweepPoint p;
  p.alpha = c.alpha;
  p.certified = c.certified;
  p.method = c.method;
  p.unit = c.unit;
  p.threshold = c.threshold;
  p.n_learn = c.n_learn;
  p.n_certify = c.n_certify;
  p.n_handled = c.n_handled;
  p.n_agree = c.n_agree;
  p.agreement_lower = agreement_lower(c);
  p.expected_coverage = c.expected_coverage;
  return p;
}

Status score_fresh(Backend& backend, const Policy& policy, const FreshRows& fresh, std::vector<SweepPoint>& points) {
  if (policy.stages.empty()) return {};
  ScorerOptions options{.expected_rows = fresh.rows()};
  std::vector<DecisionRule> rules;
  for (const Certificate& c : policy.certificates) {
    rules.push_back(decision_rule(policy, c));
    if (c.certified) options.thresholds.push_back(c.threshold);
  }
  TRACER_ASSIGN_OR_RETURN(auto scorer, RowScorer::open(backend, policy.stages[0], std::move(options)));
  return scorer.score({.x = fresh.x.view()}, [&](const ScoredBlock& block) -> Status {
    for (size_t a = 0; a < points.size(); ++a) {
      if (!policy.certificates[a].certified) continue;
      for (size_t i = 0; i < block.score.size(); ++i) {
        if (decide(block.score[i], rules[a]) != Reason::kAccepted) continue;
        ++points[a].fresh_handled;
        points[a].fresh_agree += block.score[i].features.label == fresh.label[static_cast<size_t>(block.first) + i];
      }
    }
    return {};
  });
}

Result<SweepRun> run(Backend& backend, const Traces& log, const Matrix<float>& x, const FreshRows* fresh,
                     int64_t traces, FitOptions options, const std::function<void(const std::string&)>& progress) {
  TRACER_ASSIGN_OR_RETURN(const auto kind, kind_of(log, options.split));
  const auto rows = subsample(log, kind, traces, options.split.seed);
  if (kind == SplitKind::kRows) options.split.kind = SplitKind::kRows;
  TRACER_ASSIGN_OR_RETURN(auto fitted,
                          fit(backend, take_rows(log, rows), pick_rows(x.view(), rows), options, progress));
  SweepRun result;
  result.traces = traces;
  result.rows = static_cast<int64_t>(rows.size());
  result.seed = options.split.seed;
  for (const Certificate& c : fitted.policy.certificates) result.points.push_back(point_of(c));
  result.warnings = std::move(fitted.warnings);
  result.seconds = std::move(fitted.seconds);
  if (fresh == nullptr) return result;
  const auto start = std::chrono::steady_clock::now();
  result.fresh_rows = fresh->rows();
  TRACER_RETURN_IF_ERROR(score_fresh(backend, fitted.policy, *fresh, result.points));
  result.seconds.emplace_back("fresh", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double SweepPoint::coverage() const { return share(n_handled, n_certify); }

double SweepRun::coverage(const SweepPoint& p) const {
  return fresh_rows > 0 ? share(p.fresh_handled, fresh_rows) : p.coverage();
}

std::optional<double> SweepRun::agreement(const SweepPoint& p) const {
  return fresh_rows > 0 ? tracer::agreement(p.fresh_agree, p.fresh_handled) : tracer::agreement(p.n_agree, p.n_handled);
}

Result<SweepRun> sweep_run(Backend& backend, const Traces& log, const Matrix<float>& x, const FreshRows* fresh,
                           int64_t traces, FitOptions options,
                           const std::function<void(const std::string&)>& progress) {
  try {
    return run(backend, log, x, fresh, traces, std::move(options), progress);
  } catch (const std::bad_alloc&) {
    return out_of_memory("a log of " + std::to_string(traces) + " rows of " + std::to_string(x.cols()) + " columns");
  }
}

}  // namespace tracer
