// Label floors: labels whose rows are deferred because learn does not show them to agree often enough.
// Source of the rule: docs/guarantee.md, step 5.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/prove/certify.h"

namespace tracer {

// What a label floor leaves to a policy for one alpha: rows scored at least least_score, of labels other than `below`.
struct LabelFloor {
  double least_score = 0;
  std::vector<FlooredLabel> below;  // ascending, with the figures that failed them at least_score
};

// At a given least score a label stays when its out-of-fold rows (predicted so, not gated, scored at least that) show
// an agreement of `floor`: an exact binomial test at level delta, each label by itself. Of 100 least scores, quantiles
// of the rows that learn does not gate, the one is taken whose remaining rows are most, among those where they
// disagree at most 1 - alpha of the time; where there is none, every label is below. predicted: n, aligned with learn.
// Looks at learn alone. Cost: O(n log n) and 100 binomial probabilities a label.
LabelFloor plan_label_floor(const LearnSide& learn, std::span<const int32_t> predicted, int64_t classes, double alpha,
                            double floor, double delta);

// Gates the rows that the floor leaves to the teacher; rows of learn and certify alike.
void apply_label_floor(const LabelFloor& floor, std::span<const double> score, std::span<const int32_t> predicted,
                       std::vector<uint8_t>& gated);

// The largest threshold that handles every row scored at least least_score (a row is handled above the threshold).
double threshold_below(double least_score);

}  // namespace tracer
