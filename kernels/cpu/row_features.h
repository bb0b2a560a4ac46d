// The vote and the feature arithmetic of one row, shared by every caller so that they cannot drift apart.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/isa.h"

namespace tracer::cpu {

// The neighbours of one row and how they vote.
struct RowVote {
  std::span<const int32_t> neighbour;  // k, -1 = none
  std::span<const float> similarity;   // k, descending
  std::span<const int32_t> reference_label;
  float weight;
  float sharpness;
};

// softmax: classes values. vote: scratch of `classes` doubles. p: receives the mixture, readable up to 16 floats beyond
// the classes. Every neighbour is -1 or a valid index, and every reference label is in [0, classes).
DecisionFeatures row_features(const IsaKernels& isa, int64_t classes, const float* softmax, const RowVote& vote,
                              double* vote_mass, float* p);

}  // namespace tracer::cpu
