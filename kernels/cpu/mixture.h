// Decision features of routed rows: softmax member, neighbour vote, their mixture.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The contract of Backend::mixture_features.
Status mixture_features(const Context& context, const MixtureInputs& in, std::span<DecisionFeatures> out,
                        HostMatrix<float> probability);

// The contract of Backend::mixture_features_from.
Status mixture_features_from(const Context& context, HostMatrix<const float> softmax_probability,
                             const MixtureInputs& in, std::span<DecisionFeatures> out);

}  // namespace tracer::cpu
