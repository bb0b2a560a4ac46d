// The out-of-distribution gate: rows unlike anything learned are deferred whatever the acceptor says.
#pragma once

#include <span>

#include "engine/policy.h"
#include "engine/row_features.h"

namespace tracer {

// Limits are 0.995 quantiles of the mean distance to the 10 nearest admissible references, over out-of-fold learn rows:
// one for each predicted label, and one over all; labels with fewer than 200 rows use the global one.
OodGate fit_gate(std::span<const RowFeatures> out_of_fold, int64_t classes);

inline bool out_of_distribution(const OodGate& gate, const DecisionFeatures& f) {
  return f.mean_distance_10 > gate.global_limit && f.mean_distance_10 > gate.label_limit[f.label];
}

}  // namespace tracer
