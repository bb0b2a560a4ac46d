// Regions of the embedding space: k-means cells of unit rows, for figures that people read region by region.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kMostRegions = 16;
inline constexpr int64_t kRowsARegion = 50;                     // on average, at least
inline constexpr int64_t kFewestRegionRows = 2 * kRowsARegion;  // one region would say nothing
inline constexpr int64_t kSilhouetteRows = 1000;    // rows on which numbers of regions are compared, at most
inline constexpr double kSilhouetteGivenUp = 0.01;  // for finer regions, which say more

struct RegionCount {
  int64_t regions = 0;
  double silhouette = 0;  // in [0, 1]: 1 where every row lies on its centre, 0 where it lies midway between two
};

struct Regions {
  int64_t count = 0;               // 0: too few rows
  std::vector<int32_t> region;     // n: 0 .. count-1; the largest first, equal ones in order of their first row
  std::vector<float> distance2;    // n: squared distance to the centre of its region
  std::vector<RegionCount> tried;  // ascending regions
};

// Of 2 to min(kMostRegions, n / kRowsARegion) regions of n x d unit rows, as many as there can be while the silhouette
// is within kSilhouetteGivenUp of the greatest. It is the simplified silhouette of E. Hruschka, L. de Castro and R.
// Campello (2004), (b - a) / b of a row's distances to its own and to the next centre, averaged over a sample spaced
// evenly. None of the regions is empty: there are fewer where rows are equal. Lloyd's algorithm, until nothing moves or
// 50 times: of the sample from seeds of k-means++, then of all rows from the sample's centres. Deterministic in
// x. Cost: 2 n d flops a region and iteration, and as much for each number tried on the sample.
Result<Regions> find_regions(Backend& backend, HostMatrix<const float> x);

}  // namespace tracer
