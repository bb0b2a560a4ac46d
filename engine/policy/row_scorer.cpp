#include "engine/policy/row_scorer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>
#include <utility>

#include "engine/maths/pick.h"
#include "engine/policy/text_stage.h"

namespace tracer {
namespace {

using NameRow = std::function<std::string(int64_t)>;

Status check_scores(std::span<const RowScore> scores, int64_t first, const NameRow& name) {
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i].score)) continue;
    const int64_t row = first + static_cast<int64_t>(i);
    return check_score(scores[i], name ? name(row) : "row " + std::to_string(row));
  }
  return {};
}

}  // namespace

// One block on its way.
struct RowScorer::Block {
  int64_t first = 0;
  std::vector<RowScore> score;
  std::vector<std::optional<RowScore>> answered;
  Matrix<float> copy;  // of the vectors, if they are picked or scaled
  Matrix<int32_t> neighbour;
  Matrix<float> similarity, probability;
};

Result<RowScorer> RowScorer::open(Backend& backend, const Policy& policy, DecisionRule rule, int64_t expected_rows) {
  if (policy.stages.empty()) return internal_error("a policy without a stage scores no row");
  TRACER_ASSIGN_OR_RETURN(
      auto scorer, open(backend, policy.stages[0], {.thresholds = {rule.threshold}, .expected_rows = expected_rows}));
  if (policy.text && rule.text_threshold < 1) scorer.text_ = &*policy.text;
  scorer.rule_ = std::move(rule);
  return scorer;
}

Result<RowScorer> RowScorer::open(Backend& backend, const Stage& stage, ScorerOptions options) {
  TRACER_ASSIGN_OR_RETURN(auto prepared,
                          prepare_stage(backend, stage, std::move(options.thresholds), options.expected_rows));
  return RowScorer(backend, std::move(prepared), options.canonical);
}

Status RowScorer::score(const RowsToScore& rows, const std::function<Status(const ScoredBlock&)>& take) const {
  const int64_t n = rows.pick ? static_cast<int64_t>(rows.pick->size()) : rows.x.rows;
  if (!rows.texts.empty() && static_cast<int64_t>(rows.texts.size()) != n)
    return internal_error("texts and rows differ in number");
  if (rows.details && canonical_) return internal_error("canonical scores come without details");
  Block block;
  for (; block.first < n; block.first += kScoredTogether) {
    try {
      TRACER_RETURN_IF_ERROR(score_block(rows, std::min(kScoredTogether, n - block.first), block));
    } catch (const std::bad_alloc&) {
      return out_of_memory("scoring " + std::to_string(n) + " rows");
    }
    TRACER_RETURN_IF_ERROR(check_scores(block.score, block.first, rows.name));
    TRACER_RETURN_IF_ERROR(take({block.first, block.score, std::as_const(block.neighbour).view(),
                                 std::as_const(block.similarity).view(), std::as_const(block.probability).view()}));
  }
  return {};
}

Status RowScorer::score(const RowsToScore& rows, std::vector<RowScore>& out) const {
  out.clear();
  return score(rows, [&](const ScoredBlock& block) -> Status {
    out.insert(out.end(), block.score.begin(), block.score.end());
    return {};
  });
}

Status RowScorer::score_block(const RowsToScore& rows, int64_t count, Block& block) const {
  const auto first = static_cast<size_t>(block.first);
  HostMatrix<const float> x;
  if (rows.pick) {
    block.copy = pick_rows(rows.x, rows.pick->subspan(first, static_cast<size_t>(count)));
    x = std::as_const(block.copy).view();
  } else {
    x = rows.x.rows_from(block.first, count);
  }
  if (rows.normalise) {
    if (!rows.pick) block.copy = Matrix<float>::copy_of(x);
    TRACER_RETURN_IF_ERROR(backend_->normalise_rows(block.copy.view()));
    x = std::as_const(block.copy).view();
  }
  if (rows.details)
    TRACER_RETURN_IF_ERROR(
        score_rows(*backend_, stage_, x, block.score, &block.neighbour, &block.similarity, &block.probability));
  if (text_ == nullptr || rows.texts.empty()) return rows.details ? Status() : score_vectors(x, block.score);
  answer_texts(rows.texts.subspan(first, static_cast<size_t>(count)), block.answered, block.probability.view());
  if (!rows.details) {
    std::vector<int64_t> rest;
    for (int64_t i = 0; i < count; ++i)
      if (!block.answered[static_cast<size_t>(i)]) rest.push_back(i);
    return merge_rest(pick_rows(x, rest).view(), block.answered, block.score);
  }
  for (size_t i = 0; i < block.score.size(); ++i) {
    if (!block.answered[i]) continue;
    const float nearest = block.score[i].features.nearest;
    block.score[i] = *block.answered[i];
    block.score[i].features.nearest = nearest;
  }
  return {};
}

Status RowScorer::score_vectors(HostMatrix<const float> x, std::vector<RowScore>& out) const {
  out.clear();
  if (x.rows == 0) return {};
  return canonical_ ? score_rows_canonically(*backend_, stage_, x, out) : score_rows(*backend_, stage_, x, out);
}

void RowScorer::answer_texts(std::span<const std::string> texts, std::vector<std::optional<RowScore>>& out,
                             HostMatrix<float> probability) const {
  if (text_ == nullptr) return out.assign(texts.size(), std::nullopt);
  tracer::answer_texts(backend_, *text_, rule_, texts, out, probability);
}

Status RowScorer::score_rest(HostMatrix<const float> x, std::span<const std::optional<RowScore>> answered,
                             std::vector<RowScore>& out, const NameRow& name) const {
  if (std::count(answered.begin(), answered.end(), std::nullopt) != x.rows)
    return internal_error("vectors and rows without an answer differ in number");
  TRACER_RETURN_IF_ERROR(merge_rest(x, answered, out));
  return check_scores(out, 0, name);
}

// The answers, and the scores of the vectors in the places of the rows that have no answer.
Status RowScorer::merge_rest(HostMatrix<const float> x, std::span<const std::optional<RowScore>> answered,
                             std::vector<RowScore>& out) const {
  TRACER_RETURN_IF_ERROR(score_vectors(x, out));
  size_t at = out.size();
  out.resize(answered.size());
  for (size_t i = answered.size(); i-- > 0;) out[i] = answered[i] ? *answered[i] : out[--at];
  return {};
}

Status check_score(const RowScore& score, const std::string& row) {
  if (std::isfinite(score.score)) return {};
  char found[32];
  std::snprintf(found, sizeof found, "%g", score.score);
  return bad_input("damaged: expected a finite score of " + row + ", found " + found);
}

}  // namespace tracer
