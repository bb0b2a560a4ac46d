// Labels that look like the teacher's own mistakes.
#pragma once

#include <cstdint>
#include <vector>

#include "host/explain/rows.h"

namespace tracer {

inline constexpr size_t kMostSuspects = 100;

// Rows that no gate defers, to which the teacher gave a label that the policy knows and the surrogate would not, while
// at least half of the nearest references carry the surrogate's label: the least probable of the teacher's labels
// against the surrogate's first (p_teacher / p1; ties by row), at most kMostSuspects.
std::vector<int64_t> find_suspects(const std::vector<ExplainedRow>& rows);

}  // namespace tracer
