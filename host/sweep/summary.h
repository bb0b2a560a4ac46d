// A sweep in figures: over the seeds at each size and alpha, and over the sizes at each alpha.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/study/learning_curve.h"
#include "engine/study/sweep.h"

namespace tracer {

struct Spread {
  double median = 0, least = 0, most = 0;
};
// Absent where there are no values.
std::optional<Spread> spread_of(std::vector<double> values);

// Coverage and agreement are of the fresh rows where a run has some, else of the certify rows.
struct SweepCell {
  int64_t traces = 0;
  double alpha = 0;
  int64_t seeds = 0;
  int64_t certified = 0;            // seeds whose fit was certified
  Spread coverage;                  // over all seeds, a refusal counting 0
  std::optional<Spread> agreement;  // over those certified
  int64_t below = 0;                // certified, and significantly (one-sided 5 %) below alpha on the fresh rows
};

// Ascending by size, then alpha. All runs have the same alphas.
std::vector<SweepCell> summarise(const std::vector<SweepRun>& runs);

// The learning curve of one alpha, through the certified fits of the sizes where at least half of the seeds certify:
// coverage has a step where certification begins, and no power law describes that.
struct AlphaCurve {
  double alpha = 0;
  std::optional<LearningCurve> curve;
  std::string why_not;    // no curve: the reason
  double at_largest = 0;  // mean coverage at the largest size swept; by the curve where that size is not usable
  double target = 0;      // coverage asked for; else half of the way from there to the plateau
  bool asked = false;     // the target was given
  TracesNeeded needed;    // traces in all, for the target
};
std::vector<AlphaCurve> learning_curves(const std::vector<SweepRun>& runs, std::optional<double> target);

}  // namespace tracer
