#include "host/explain/labels.h"

namespace tracer {

std::vector<LabelExplanation> explain_labels(const std::vector<ExplainedRow>& rows, const std::vector<Cause>& cause) {
  std::map<int32_t, LabelExplanation> labels;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ExplainedRow& r = rows[i];
    labels[r.label].answered.add(r);
    if (r.teacher < 0) continue;
    LabelExplanation& l = labels[r.teacher];
    ++l.rows, l.rows_handled += r.handled();
    if (!r.agrees()) ++l.taken_for[r.label];
    if (!r.handled()) ++l.deferred[cause[i]];
  }
  std::vector<LabelExplanation> out;
  for (auto& [label, l] : labels) {
    l.label = label;
    out.push_back(std::move(l));
  }
  return out;
}

}  // namespace tracer
