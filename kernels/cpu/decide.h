// Decisions of rows from their class probabilities and the vote of their neighbours.
#pragma once

#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::decision_features_from.
Status decision_features_from(const Context& context, HostMatrix<const float> s, const NeighbourVote& vote,
                              std::span<DecisionFeatures> features);

}  // namespace tracer::cpu
