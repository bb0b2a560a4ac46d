// Regions of the embedding space: k-means cells of unit rows, for figures that people read region by region.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kMostRegions = 16;
inline constexpr int64_t kRowsARegion = 50;                     // on average, at least
inline constexpr int64_t kFewestRegionRows = 2 * kRowsARegion;  // one region would say nothing

struct Regions {
  int64_t count = 0;             // 0: too few rows
  std::vector<int32_t> region;   // n: 0 .. count-1; the largest first, equal ones in order of their first row
  std::vector<float> distance2;  // n: squared distance to the centre of its region
};

// At most min(kMostRegions, n / kRowsARegion) regions of n x d unit rows, none of them empty: fewer where rows are
// equal. Lloyd's algorithm from rows spaced evenly in the order given, until nothing moves or 50 times. Deterministic
// in x. Cost: 32 n d flops an iteration.
Result<Regions> find_regions(Backend& backend, HostMatrix<const float> x);

}  // namespace tracer
