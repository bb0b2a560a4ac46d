// What smaller parts of a log would have reached on rows that no part learns from: the points of a learning curve, of
// all rows and label by label.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/fit.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "kernels/backend.h"

namespace tracer {

// Draws whole units of learn and of certify at random, until `share` of each is there; the rest is unused. A smaller
// share of one draw lies inside every larger share. Folds are dealt afresh.
Split share_of(const Split& split, double share, uint64_t draw);

struct GrowthFit {
  double share = 0;
  bool certified = false;
  std::vector<int32_t> answer;   // of each row looked at: the surrogate's label
  std::vector<uint8_t> handled;  // of each row looked at
};

// Learns from that share of the learn rows, certifies options.alpha on that share of the certify rows, and applies the
// policy to all the rows looked at (unit rows; none may be a learn row of the split). x, of the log, is left as it is.
// options.given_split is not used. Deterministic as fit() is. Cost: fit() of that share; memory: fit()'s, and x once
// more.
Result<GrowthFit> growth_fit(Backend& backend, const Traces& log, const Matrix<float>& x, const Split& split,
                             double share, uint64_t draw, FitOptions options, HostMatrix<const float> rows);

}  // namespace tracer
