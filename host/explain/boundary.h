// The border between what is handled and what is deferred, as pairs of rows.
#pragma once

#include <cstdint>
#include <vector>

#include "host/explain/rows.h"

namespace tracer {

inline constexpr size_t kMostPairs = 20;
inline constexpr size_t kMostBorderRows = 1000;  // deferred rows looked at: those of the highest scores

struct BoundaryPair {
  int64_t handled = 0, deferred = 0;
  double similarity = 0;
};

// For each deferred row the nearest handled one with the same teacher label; the nearest pairs first, at most
// kMostPairs. x: the n unit rows. Cost: kMostBorderRows n d multiplications at most.
std::vector<BoundaryPair> find_boundary(const std::vector<ExplainedRow>& rows, HostMatrix<const float> x);

}  // namespace tracer
