#include "engine/challenger.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "engine/learn/refit.h"
#include "engine/learn/search.h"
#include "engine/log/sample.h"
#include "engine/prove/certify.h"
#include "engine/prove/label_floor.h"

namespace tracer {
namespace {

constexpr int64_t kComparedOn = 2000;  // certify rows that candidates are compared under: none are known yet

// The out-of-fold rows that stand for the traffic.
struct FairRows {
  LearnSide side;
  std::vector<int32_t> predicted;
};

FairRows fair_rows(const SearchResult& search, const Layout& at, const std::vector<uint8_t>& fair) {
  FairRows rows;
  for (size_t i = 0; i < search.score.size(); ++i) {
    if (!fair[at.learn[i]]) continue;
    rows.side.score.push_back(search.score[i]);
    rows.side.disagree.push_back(search.disagree[i]);
    rows.side.gated.push_back(search.gated[i]);
    rows.predicted.push_back(search.predicted[i]);
  }
  return rows;
}

// floored: the labels that this alpha leaves to the teacher.
AuditPlan plan(const FairRows& rows, double alpha, double level, const ChallengerOptions& o, int64_t classes,
               std::vector<FlooredLabel>& floored) {
  const LearnSide& side = rows.side;
  std::vector<uint8_t> gated = side.gated;
  if (o.label_floor > 0) {
    const LabelFloor floor = plan_label_floor(side, rows.predicted, classes, alpha, o.label_floor, level);
    apply_label_floor(floor, side.score, rows.predicted, gated);
    for (const FlooredLabel& f : floor.below)
      if (!std::binary_search(o.never.begin(), o.never.end(), f.label)) floored.push_back(f);
  }
  return plan_audit(eligible_scores(side.score, side.disagree, gated), alpha, level, o.min_coverage);
}

Result<Challenger> freeze(Backend& backend, const Traces& traces, Matrix<float> x, const std::vector<uint8_t>& fair,
                          const ChallengerOptions& o, const std::function<void(const std::string&)>& progress) {
  const int64_t n = traces.rows(), classes = static_cast<int64_t>(traces.labels.size());
  if (x.rows() != n || static_cast<int64_t>(fair.size()) != n)
    return internal_error("vectors and traces differ in number");
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(x.view()));
  Split split = learn_only_split(n, o.unit, o.split);
  if (split.folds < 2 || classes == 0) return refused("too few rows to learn a challenger from: " + std::to_string(n));
  order_by_fold(split);
  const Layout at = lay_out(split, sample_units(split.unit, split.fold, o.max_references, o.split.seed), x);
  LearnRows learn{x.view(), {}, at.fold, {at.learn.begin(), at.learn.end()}};
  for (int32_t row : at.learn) learn.label.push_back(traces.label[row]);

  TRACER_ASSIGN_OR_RETURN(auto described, useful_descriptions(backend, o.descriptions, learn.label, classes));
  learn.descriptions = &described;
  SearchInput input = searched_part(learn, at.unit, at.sample_rows, classes);
  input.folds = split.folds;
  input.alphas = {o.alpha};
  input.delta = o.level;
  input.never = o.never;
  input.n_certify = kComparedOn;
  input.choices = o.choices;
  input.seed = o.split.seed;
  TRACER_ASSIGN_OR_RETURN(auto search, search_surrogate(backend, input, progress));
  TRACER_ASSIGN_OR_RETURN(auto stage, refit(backend, search, learn, classes));

  Challenger c;
  c.described = described_labels(described);
  const FairRows rows = fair_rows(search, at, fair);
  const std::vector<double> alphas = o.alphas.empty() ? std::vector<double>{o.alpha} : o.alphas;
  const double level = o.simultaneous ? o.level / static_cast<double>(alphas.size()) : o.level;
  for (double alpha : alphas) {
    Certificate& pending = c.policy.certificates.emplace_back();
    const AuditPlan& planned = c.plans.emplace_back(plan(rows, alpha, level, o, classes, pending.floored));
    pending.alpha = alpha, pending.delta = level;
    pending.method = Method::kRefused, pending.unit = ProofUnit::kAudit,
    pending.reason = "no audited row has been scored yet";
    pending.n_learn = n;
    pending.expected_coverage = planned.share.empty() ? 0 : planned.share.back();
    if (std::abs(alpha - o.alpha) < 1e-9 && planned.threshold.empty())
      c.warnings.push_back("learn puts no threshold within reach of " + std::to_string(o.alpha) +
                           ": this challenger cannot be certified");
  }
  c.policy.labels = traces.labels;
  c.policy.dimension = x.cols();
  c.policy.stages.push_back(std::move(stage));
  c.policy.alpha = o.alpha;
  c.policy.delta = o.level;
  c.policy.never = o.never;
  c.policy.label_floor = o.label_floor;
  c.policy.simultaneous = o.simultaneous;
  return c;
}

}  // namespace

Result<Challenger> freeze_challenger(Backend& backend, const Traces& traces, Matrix<float> x,
                                     const std::vector<uint8_t>& fair, const ChallengerOptions& options,
                                     const std::function<void(const std::string&)>& progress) {
  const int64_t rows = x.rows();
  try {
    return freeze(backend, traces, std::move(x), fair, options, progress);
  } catch (const std::bad_alloc&) {
    return out_of_memory("learning a challenger from " + std::to_string(rows) + " rows, " +
                         std::to_string(traces.labels.size()) + " labels");
  }
}

AuditOutcome certify_on_audit(const Policy& challenger, const Certificate& frozen, const AuditPlan& plan,
                              const std::vector<AuditRow>& rows) {
  const DecisionRule rule = decision_rule(challenger, frozen);
  AuditOutcome out{AuditWager(plan), frozen};
  for (const AuditRow& row : rows)
    out.wager.add(row.score.score, passes_gates(row.score, rule), row.score.features.label != row.teacher);
  Certificate& c = out.certificate;
  const int64_t passed = out.wager.passed();
  c.n_certify = c.n_units = out.wager.rows();
  c.tested = std::min<int64_t>(passed + 1, static_cast<int64_t>(plan.threshold.size()));
  if (passed == 0) {
    c.reason = plan.threshold.empty() ? "learn puts no threshold within reach" : "the wagers have not reached 1/delta";
    return out;
  }
  const AuditWager::State& last = out.wager.state()[static_cast<size_t>(passed - 1)];
  c.certified = true;
  c.method = Method::kL2d;
  c.reason.clear();
  c.threshold = threshold_below(plan.threshold[static_cast<size_t>(passed - 1)]);
  c.n_handled = last.handled;
  c.n_agree = last.handled - last.disagreements;
  std::vector<LabelFigures> figures(challenger.labels.size());
  for (size_t l = 0; l < figures.size(); ++l) figures[l].label = static_cast<int32_t>(l);
  for (const AuditRow& row : rows) {
    if (row.teacher >= 0) ++figures[static_cast<size_t>(row.teacher)].rows;
    if (decide(row.score, {c.threshold, rule.by_label}) != Reason::kAccepted) continue;
    LabelFigures& f = figures[static_cast<size_t>(row.score.features.label)];
    ++f.handled, f.agree += row.score.features.label == row.teacher;
  }
  for (const LabelFigures& f : figures)
    if (f.rows > 0 || f.handled > 0) c.labels.push_back(f);
  return out;
}

}  // namespace tracer
