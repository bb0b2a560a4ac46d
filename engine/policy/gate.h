// The out-of-distribution gate: rows unlike anything learned are deferred whatever the acceptor says.
//
// A row is unlike what was learned by three signs, each weak alone: it is far from its nearest references (the distance
// to the k-th neighbour, Sun et al., arXiv:2204.06507), farther than those are from theirs (local outlier factor,
// Breunig et al. 2000, here as a difference), and the surrogate is unsure of it (the maximum softmax probability,
// Hendrycks and Gimpel, arXiv:1610.02136). docs/decisions/gate.md: what each brings.
#pragma once

#include <span>

#include "engine/policy/policy.h"
#include "engine/policy/row_features.h"

namespace tracer {

// Of ordinary rows that a gate may defer, unless asked otherwise.
inline constexpr double kGateShare = 0.002;
// Copies of one row are this close, whatever the rounding: never out of distribution.
inline constexpr double kSameRow = 1e-4;

// Mean reference_distance of the row's kNeighbourhood nearest references (fewer where there are fewer); 2 without any.
// neighbour: k indices, best first, -1 where there are fewer.
float neighbourhood_distance(std::span<const float> reference_distance, const int32_t* neighbour, int64_t k);

// d + density (d - neighbourhood) - confidence ln(top1), d: mean distance to the kNeighbourhood nearest.
double outlier_score(const OodGate& gate, const RowFeatures& f);

// features: of the rows that become the references, in their order, out-of-fold. share, in [0, 1): of them that a limit
// may leave out; 0: what is beyond all of them is unlike them. There is a limit for each predicted label, and one over
// all; labels with fewer than 200 rows use the global one.
OodGate fit_gate(std::span<const RowFeatures> features, int64_t classes, double share = kGateShare);

// What a row of that predicted label must be beyond: the larger of the two limits.
double outlier_limit(const OodGate& gate, int32_t label);

bool out_of_distribution(const OodGate& gate, const RowFeatures& f);

// Could errors of that size in the row's distances and in its probability put it on the other side of a limit?
bool near_gate_limit(const OodGate& gate, const RowFeatures& f, double distance_error, double error);

}  // namespace tracer
