// The family l2d_label: every label has a threshold of its own, fixed out-of-fold, and one shift of them all is
// certified. A label's threshold is an offset to the logit of the acceptor's score,
//   score' = sigmoid(logit(score) + offset[label]),
// so that a common threshold of score' is a threshold of score for each label. The offsets are frozen on learn; score'
// is then a score like any other, and what is certified about it is proved as for l2d.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tracer {

// Offsets of least sum of log losses of `agree` + strength / 2 * offset^2, each label by itself (Newton's method), from
// the rows with learns[i] != 0 (all where empty). A label without rows has offset 0. Covering most rows at a given
// agreement takes the rows most likely to agree, so a threshold is right for a label when its scores are calibrated.
std::vector<double> fit_label_offsets(std::span<const double> score, std::span<const uint8_t> disagree,
                                      std::span<const int32_t> predicted, std::span<const uint8_t> learns,
                                      int64_t classes, double strength);

double offset_score(double score, double offset);

// score' of each row by offsets from the other folds: what a row not learned from would get.
std::vector<double> cross_fitted_scores(std::span<const double> score, std::span<const uint8_t> disagree,
                                        std::span<const int32_t> predicted, std::span<const int32_t> fold, int folds,
                                        int64_t classes, double strength);

}  // namespace tracer
