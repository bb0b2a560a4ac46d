// Two stages as one policy. Every row has one stage that answers it, by a rule fixed on learn: the text stage where it
// is open to the row and scores it above t, the stage on vectors otherwise. Label and score of the row are that
// stage's. Both scores are probabilities that the teacher agrees, so the pair has one score, is planned and certified
// by one threshold of it, and what is proved of a score (docs/guarantee.md) holds of this one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/learn/text_stage_fit.h"

namespace tracer {

// What the stage on vectors says of the same rows; gated: deferred whatever the score.
struct VectorSide {
  std::span<const double> score;
  std::span<const int32_t> predicted;
  std::span<const uint8_t> gated;
};

struct PairedRows {
  std::vector<double> score;
  std::vector<int32_t> predicted;
  std::vector<uint8_t> disagree;  // of the label that answers
  std::vector<uint8_t> gated;     // rows of the text stage never are
  std::vector<uint8_t> text;      // the text stage answers
};
// teacher: n labels. threshold 1: the stage on vectors answers all.
PairedRows pair_stages(const VectorSide& vectors, const TextSide& text, std::span<const int32_t> teacher,
                       double threshold);

struct CascadePlan {
  double threshold = 1;       // t: the text stage answers above it
  double share = 0;           // of the rows, out-of-fold, that it then answers
  double coverage = 0;        // out-of-fold, that the pair would be allowed
  double coverage_alone = 0;  // and the stage on vectors alone
};

// For each alpha the t that leaves most rows to the text stage, of 64 quantiles of its scores and 1, among those under
// which the pair loses at most `tolerance` of the coverage that the stage on vectors would be allowed alone. Coverage:
// the largest share of the rows, best score first, whose disagreements a certify set of n_certify rows would allow at
// level delta, as a mean over error rates around 1 - alpha (x 0.8 to 1.25: near one alpha a handful of rows decides).
// Looks at learn alone. Cost: 65 sorts of the rows.
std::vector<CascadePlan> plan_cascade(const VectorSide& vectors, const TextSide& text, std::span<const int32_t> teacher,
                                      std::span<const double> alphas, double delta, int64_t n_certify,
                                      double tolerance);

}  // namespace tracer
