#include "engine/learn/label_threshold.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/logistic.h"

namespace tracer {

std::vector<double> fit_label_offsets(std::span<const double> score, std::span<const uint8_t> disagree,
                                      std::span<const int32_t> predicted, std::span<const uint8_t> learns,
                                      int64_t classes, double strength) {
  constexpr int kSteps = 30;
  const auto labels = static_cast<size_t>(classes);
  std::vector<double> z(score.size());
  for (size_t i = 0; i < z.size(); ++i) z[i] = logit(score[i]);
  std::vector<double> offset(labels, 0.0), slope(labels), curvature(labels);
  for (int step = 0; step < kSteps; ++step) {
    for (size_t c = 0; c < labels; ++c) slope[c] = strength * offset[c], curvature[c] = strength;
    for (size_t i = 0; i < z.size(); ++i) {
      if (!learns.empty() && learns[i] == 0) continue;
      const auto c = static_cast<size_t>(predicted[i]);
      const double p = sigmoid(z[i] + offset[c]);
      slope[c] += p - (disagree[i] ? 0.0 : 1.0);
      curvature[c] += p * (1 - p);
    }
    double moved = 0;
    for (size_t c = 0; c < labels; ++c) {
      // The log loss's curvature changes little within a step of 1, so that this converges from anywhere.
      const double by = std::clamp(slope[c] / curvature[c], -1.0, 1.0);
      offset[c] -= by;
      moved = std::max(moved, std::abs(by));
    }
    if (moved < 1e-12) break;
  }
  return offset;
}

double offset_score(double score, double offset) { return sigmoid(std::clamp(logit(score) + offset, -30.0, 30.0)); }

std::vector<double> cross_fitted_scores(std::span<const double> score, std::span<const uint8_t> disagree,
                                        std::span<const int32_t> predicted, std::span<const int32_t> fold, int folds,
                                        int64_t classes, double strength) {
  std::vector<double> out(score.begin(), score.end());
  std::vector<uint8_t> learns(score.size());
  for (int32_t held_out = 0; held_out < folds; ++held_out) {
    for (size_t i = 0; i < learns.size(); ++i) learns[i] = fold[i] != held_out;
    const auto offset = fit_label_offsets(score, disagree, predicted, learns, classes, strength);
    for (size_t i = 0; i < out.size(); ++i)
      if (!learns[i]) out[i] = offset_score(score[i], offset[static_cast<size_t>(predicted[i])]);
  }
  return out;
}

}  // namespace tracer
