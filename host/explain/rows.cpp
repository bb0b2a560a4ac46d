#include "host/explain/rows.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/policy/text_stage.h"

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

// Where the text stage answers the row, its score and probabilities in place of those of the stage on vectors; what is
// near the row stays.
void answer_text(const TextStage& stage, const DecisionRule& rule, const std::string& text, TextScratch& scratch,
                 RowScore& score, float* probability) {
  RowScore answer = score_text(stage, text, scratch);
  if (!text_stage_answers(answer, rule)) return;
  answer.features.nearest = score.features.nearest;
  score = answer;
  std::transform(scratch.values.begin(), scratch.values.end(), probability,
                 [](double p) { return static_cast<float>(p); });
}

}  // namespace

Result<std::vector<ExplainedRow>> explain_rows(Backend& backend, const Policy& policy, const Certificate& certificate,
                                               HostMatrix<const float> x, const std::vector<int32_t>& teacher,
                                               const std::vector<std::string>& texts) {
  const Stage& stage = policy.stages[0];
  const DecisionRule rule = decision_rule(policy, certificate);
  const bool cascade = policy.text && rule.text_threshold < 1;
  if (cascade && static_cast<int64_t>(texts.size()) != x.rows) return internal_error("texts and rows differ in number");
  TextScratch scratch;
  TRACER_ASSIGN_OR_RETURN(auto prepared, prepare_stage(backend, stage, {certificate.threshold}, x.rows));
  std::vector<ExplainedRow> rows;
  std::vector<RowScore> scores;
  Matrix<int32_t> near;
  Matrix<float> similarity, probability;
  for (int64_t first = 0; first < x.rows; first += kScoredTogether) {
    const int64_t n = std::min(kScoredTogether, x.rows - first);
    TRACER_RETURN_IF_ERROR(
        score_rows(backend, prepared, x.rows_from(first, n), scores, &near, &similarity, &probability));
    for (int64_t i = 0; i < n; ++i) {
      if (cascade)
        answer_text(*policy.text, rule, texts[static_cast<size_t>(first + i)], scratch, scores[static_cast<size_t>(i)],
                    probability.row(i));
      if (!std::isfinite(scores[static_cast<size_t>(i)].score))
        return bad_input("expected a finite score of row " + std::to_string(first + i) + ": the policy is damaged");
      rows.push_back(explained(stage, scores[static_cast<size_t>(i)], rule, probability.row(i), near.row(i),
                               near.cols(), teacher[static_cast<size_t>(first + i)]));
    }
  }
  return rows;
}

}  // namespace tracer
