#include "engine/fit_options.h"

#include <utility>

namespace tracer {

Status check_fit_options(const FitOptions& o, const Traces& traces, const Matrix<float>& x) {
  const auto inside = [](double v) { return v > 0 && v < 1; };
  if (traces.rows() == 0) return bad_input("no traces to learn from");
  if (x.rows() != traces.rows()) return internal_error("vectors and traces differ in number");
  if (!inside(o.delta)) return bad_option("delta", option("delta") + " must lie between 0 and 1");
  if (!(o.min_coverage >= 0 && o.min_coverage <= 1))
    return bad_option("min_coverage", option("min_coverage") + " must lie between 0 and 1");
  if (!inside(o.split.certify_fraction))
    return bad_option("certify_fraction", option("certify_fraction") + " must lie between 0 and 1");
  if (o.split.folds < 2 || o.split.folds > 100)
    return bad_option("folds", option("folds") + " must lie between 2 and 100");
  if (o.looks < 1) return bad_option("looks", option("looks") + " must be at least 1");
  if (!(o.choices.gate_share >= 0 && o.choices.gate_share <= 0.5))
    return bad_option("gate_share", option("gate_share") + " must lie between 0 and 0.5");
  if (!(o.label_floor >= 0 && o.label_floor < 1))
    return bad_option("label_floor", option("label_floor") + " must lie between 0 and 1");
  if (o.max_references < kFewestReferences)
    return bad_option("max_references",
                      option("max_references") + " must be at least " + std::to_string(kFewestReferences));
  if (o.descriptions != nullptr && !o.descriptions->empty() && o.descriptions->x.cols() != x.cols())
    return internal_error("vectors of descriptions and of traces differ in dimension");
  if (!o.cascade_texts.empty() && static_cast<int64_t>(o.cascade_texts.size()) != traces.rows())
    return internal_error("texts and traces differ in number");
  if (!(o.cascade_tolerance >= 0 && o.cascade_tolerance <= 1))
    return bad_option("cascade_tolerance", option("cascade_tolerance") + " must lie between 0 and 1");
  if (o.budget_seconds && !(*o.budget_seconds >= 0))
    return bad_option("budget_seconds", option("budget_seconds") + " must not be negative");
  for (int32_t label : o.never)
    if (label < 0 || label >= static_cast<int32_t>(traces.labels.size()))
      return bad_option("never", option("never") + ": no label has the index " + std::to_string(label));
  for (double a : o.sweep)
    if (!inside(a)) return bad_option("sweep", "every alpha of " + option("sweep") + " must lie between 0 and 1");
  if (!inside(o.alpha)) return bad_option("alpha", option("alpha") + " must lie between 0 and 1");
  if (o.unit == Unit::kRuns && o.split.kind == SplitKind::kRows)
    return bad_option("unit", option("unit") + " runs needs a split that keeps runs: " + option("split") + " runs, " +
                                  option("split") + " time or " + option("group_by"));
  return {};
}

std::vector<double> tested_alphas(const FitOptions& o) {
  std::vector<double> alphas(o.sweep);
  alphas.push_back(o.alpha);
  return distinct_alphas(std::move(alphas));
}

}  // namespace tracer
