#include "host/explain/rows.h"

#include <algorithm>
#include <string>

#include "engine/policy/row_scorer.h"

namespace tracer {
namespace {

ExplainedRow explained(const Stage& stage, const RowScore& score, const DecisionRule& rule, const float* probability,
                       const int32_t* near, int64_t neighbours, int32_t teacher) {
  const auto classes = static_cast<int32_t>(stage.softmax.b.size());
  ExplainedRow row;
  row.teacher = teacher;
  row.label = score.features.label;
  row.p1 = probability[row.label];
  for (int32_t c = 0; c < classes; ++c)
    if (c != row.label && (row.runner_up < 0 || probability[c] > row.p2)) row.runner_up = c, row.p2 = probability[c];
  if (teacher >= 0) row.p_teacher = probability[teacher];
  row.score = score.score;
  row.text = score.text;
  row.decision = decide(score, rule);
  row.nearest = score.features.nearest;
  row.near.fill(-1);
  const auto looked_at = std::min(static_cast<size_t>(neighbours), kNear);
  float found = 0;
  for (size_t j = 0; j < looked_at && near[j] >= 0; ++j) {
    row.near[j] = near[j];
    const int32_t label = stage.neighbours.label[static_cast<size_t>(near[j])];
    ++found, row.vote_label += label == row.label, row.vote_teacher += label == teacher;
  }
  if (found > 0) row.vote_label /= found, row.vote_teacher /= found;
  return row;
}

}  // namespace

Result<std::vector<ExplainedRow>> explain_rows(Backend& backend, const Policy& policy, const Certificate& certificate,
                                               HostMatrix<const float> x, const std::vector<int32_t>& teacher,
                                               const std::vector<std::string>& texts) {
  TRACER_ASSIGN_OR_RETURN(auto scorer, RowScorer::open(backend, policy, decision_rule(policy, certificate), x.rows));
  RowsToScore rows{.x = x, .details = true};
  if (scorer.has_text_stage()) {
    if (static_cast<int64_t>(texts.size()) != x.rows) return internal_error("texts and rows differ in number");
    rows.texts = texts;
  }
  std::vector<ExplainedRow> out;
  TRACER_RETURN_IF_ERROR(scorer.score(rows, [&](const ScoredBlock& block) -> Status {
    for (int64_t i = 0; i < static_cast<int64_t>(block.score.size()); ++i)
      out.push_back(explained(policy.stages[0], block.score[static_cast<size_t>(i)], scorer.rule(),
                              block.probability.row(i), block.neighbour.row(i), block.neighbour.cols,
                              teacher[static_cast<size_t>(block.first + i)]));
    return {};
  }));
  return out;
}

}  // namespace tracer
