// The frozen policy at work on a batch of vectors.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/row_features.h"
#include "kernels/backend.h"

namespace tracer {

// Frozen values: they are written to files.
enum class Reason : int {
  kAccepted = 0,
  kBelowThreshold = 1,
  kOutOfDistribution = 2,
  kNeverLabel = 3,
  kBelowLabelFloor = 4
};
inline constexpr int kReasons = 5;
// "accepted", "below_threshold", "out_of_distribution", "never_label", "below_label_floor"
const char* to_string(Reason reason);

struct RowScore {
  RowFeatures features;
  double score = 0;       // in (0, 1): probability that the teacher agrees
  bool gated = false;     // out of distribution
  bool text = false;      // answered by the text stage of a cascade (engine/policy/text_stage.h)
  bool residual = false;  // answered by the stage that its own left the row to (engine/learn/residual.h)
};

// What one certificate of a policy handles.
struct DecisionRule {
  double threshold = 1;
  std::vector<Reason> by_label;  // C: why rows with that surrogate label are deferred, or kAccepted; empty: all of that
  double text_threshold = 1;     // the text stage of a cascade answers above it; 1: never
};
DecisionRule decision_rule(const Policy& policy, const Certificate& certificate);

// Gives the first reason that applies: never_label, out_of_distribution, below_label_floor, below_threshold.
inline Reason decide(const RowScore& row, const DecisionRule& rule) {
  const Reason label = rule.by_label.empty() ? Reason::kAccepted : rule.by_label[row.features.label];
  if (label == Reason::kNeverLabel) return label;
  if (row.gated) return Reason::kOutOfDistribution;
  if (label != Reason::kAccepted) return label;
  return row.score > rule.threshold ? Reason::kAccepted : Reason::kBelowThreshold;
}

// A stage made ready for many batches: it holds what scoring would otherwise prepare again for each batch. It refers
// to the stage and belongs to the backend, and both must outlive it. It never changes.
struct PreparedStage {
  const Stage* stage = nullptr;
  std::unique_ptr<References> references;
  std::unique_ptr<LinearHead> head;
  std::vector<std::unique_ptr<LinearHead>> added_heads;  // aligned with the stage's added members
  std::vector<double> thresholds;
  std::unique_ptr<PreparedStage> residual;  // of the stage's residual
};
// thresholds: of all decisions that the scores are for; rows next to one of them get their canonical score
// (engine/policy/canonical.h), so that every backend decides alike. rows: about how many there will be; few are not
// worth much preparing.
Result<PreparedStage> prepare_stage(Backend& backend, const Stage& stage, std::vector<double> thresholds = {},
                                    int64_t rows = std::numeric_limits<int64_t>::max());

// Scores n unit rows with a stage. One row's result depends on the thresholds, never on the other rows. neighbours,
// when not null, receives the nearest references (n x k) of the stage itself. probability (n x C), when not null, the
// mixture of the stage that answers. Cost: 2 n d (R + C) flops. Memory: O(n (k + C)) beyond the outputs; too little of
// it is ErrorCode::kOutOfMemory.
Status score_rows(Backend& backend, const PreparedStage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
                  Matrix<int32_t>* neighbours = nullptr, Matrix<float>* similarity = nullptr,
                  Matrix<float>* probability = nullptr);
// The canonical score of every row (engine/policy/canonical.h): for rows that certify, which must be what decides on
// every backend.
Status score_rows_canonically(Backend& backend, const PreparedStage& stage, HostMatrix<const float> x,
                              std::vector<RowScore>& out);
// Prepares the stage without thresholds, and scores the rows.
Status score_rows(Backend& backend, const Stage& stage, HostMatrix<const float> x, std::vector<RowScore>& out,
                  Matrix<int32_t>* neighbours = nullptr, Matrix<float>* similarity = nullptr,
                  Matrix<float>* probability = nullptr);

}  // namespace tracer
