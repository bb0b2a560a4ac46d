#include "engine/regions.h"

#include <algorithm>
#include <numeric>

namespace tracer {
namespace {

constexpr int kIterations = 50;

// Numbers the cells by size, and leaves out those without rows.
void renumber(Regions& r, const std::vector<int64_t>& size) {
  const auto rows = static_cast<int64_t>(r.region.size());
  std::vector<int64_t> first(size.size(), rows);
  for (int64_t i = rows - 1; i >= 0; --i) first[static_cast<size_t>(r.region[i])] = i;
  std::vector<int32_t> order(size.size()), number(size.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return size[a] != size[b] ? size[a] > size[b] : first[a] < first[b]; });
  for (size_t i = 0; i < order.size(); ++i) number[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  for (int32_t& cell : r.region) cell = number[static_cast<size_t>(cell)];
  r.count = static_cast<int64_t>(size.size()) - std::count(size.begin(), size.end(), 0);
}

}  // namespace

Result<Regions> find_regions(Backend& backend, HostMatrix<const float> x) {
  Regions regions;
  if (x.rows < kFewestRegionRows) return regions;
  const int64_t k = std::min(kMostRegions, x.rows / kRowsARegion);
  std::vector<int64_t> seeds;
  for (int64_t c = 0; c < k; ++c) seeds.push_back((2 * c + 1) * x.rows / (2 * k));
  Matrix<float> centre(k, x.cols);
  TRACER_RETURN_IF_ERROR(backend.gather_rows(x, seeds, centre.view()));
  regions.region.assign(static_cast<size_t>(x.rows), -1);
  regions.distance2.resize(static_cast<size_t>(x.rows));
  std::vector<int32_t> before;
  std::vector<int64_t> size(static_cast<size_t>(k));
  for (int i = 0; i < kIterations; ++i) {
    before = regions.region;
    TRACER_RETURN_IF_ERROR(backend.kmeans_assign(x, centre.view(), regions.region, regions.distance2));
    if (regions.region == before) break;
    TRACER_RETURN_IF_ERROR(backend.kmeans_update(x, regions.region, centre.view(), size));
  }
  renumber(regions, size);
  return regions;
}

}  // namespace tracer
