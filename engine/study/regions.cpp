#include "engine/study/regions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int kIterations = 50;

struct Cells {
  Matrix<float> centre;
  std::vector<int32_t> cell;     // of each row
  std::vector<float> distance2;  // to the centre of its cell
  std::vector<int64_t> size;
};

// The middles of `parts` equal parts of n rows.
std::vector<int64_t> spaced_rows(int64_t n, int64_t parts) {
  std::vector<int64_t> rows;
  for (int64_t c = 0; c < parts; ++c) rows.push_back((2 * c + 1) * n / (2 * parts));
  return rows;
}

// From these centres.
Result<Cells> lloyd(Backend& backend, HostMatrix<const float> x, Matrix<float> centre) {
  Cells cells{std::move(centre),
              std::vector<int32_t>(static_cast<size_t>(x.rows), -1),
              std::vector<float>(static_cast<size_t>(x.rows)),
              {}};
  cells.size.resize(static_cast<size_t>(cells.centre.rows()));
  std::vector<int32_t> before;
  for (int i = 0; i < kIterations; ++i) {
    before = cells.cell;
    TRACER_RETURN_IF_ERROR(backend.kmeans_assign(x, cells.centre.view(), cells.cell, cells.distance2));
    if (cells.cell == before) break;
    TRACER_RETURN_IF_ERROR(backend.kmeans_update(x, cells.cell, cells.centre.view(), cells.size));
  }
  return cells;
}

double distance(const float* a, const float* b, int64_t d) {
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return std::sqrt(sum);
}

// k-means++ (D. Arthur, S. Vassilvitskii, 2007): each seed is drawn with a chance that grows with the squared distance
// to the seeds before it. Those of fewer regions are the first of those of more.
std::vector<int64_t> draw_seeds(HostMatrix<const float> x, int64_t seeds) {
  Random random(0, Stream::kSample);
  std::vector<int64_t> drawn = {x.rows / 2};
  std::vector<double> nearest2(static_cast<size_t>(x.rows), std::numeric_limits<double>::infinity());
  while (static_cast<int64_t>(drawn.size()) < seeds) {
    double sum = 0;
    for (int64_t i = 0; i < x.rows; ++i) {
      const double d = distance(x.row(i), x.row(drawn.back()), x.cols);
      nearest2[static_cast<size_t>(i)] = std::min(nearest2[static_cast<size_t>(i)], d * d);
      sum += nearest2[static_cast<size_t>(i)];
    }
    double left = random.uniform(drawn.size()) * sum;
    int64_t at = 0;
    while (at + 1 < x.rows && left >= nearest2[static_cast<size_t>(at)]) left -= nearest2[static_cast<size_t>(at++)];
    drawn.push_back(at);
  }
  return drawn;
}

double silhouette(Backend& backend, HostMatrix<const float> x, const Cells& cells) {
  std::vector<double> of(static_cast<size_t>(x.rows));
  parallel_for(backend, x.rows, [&](int64_t i) {
    double own = 0, next = std::numeric_limits<double>::infinity();
    for (int64_t c = 0; c < cells.centre.rows(); ++c) {
      if (cells.size[static_cast<size_t>(c)] == 0) continue;
      const double d = distance(x.row(i), cells.centre.row(c), x.cols);
      if (c == cells.cell[static_cast<size_t>(i)])
        own = d;
      else
        next = std::min(next, d);
    }
    // Where Lloyd's algorithm was stopped, another centre may be the nearer one.
    if (std::isfinite(next) && next > 0) of[static_cast<size_t>(i)] = std::max(0.0, (next - own) / next);
  });
  return std::accumulate(of.begin(), of.end(), 0.0) / static_cast<double>(x.rows);
}

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
  const std::vector<int64_t> rows = spaced_rows(x.rows, std::min(x.rows, kSilhouetteRows));
  Matrix<float> sample(static_cast<int64_t>(rows.size()), x.cols);
  TRACER_RETURN_IF_ERROR(backend.gather_rows(x, rows, sample.view()));
  const int64_t most = std::min(kMostRegions, x.rows / kRowsARegion);
  const std::vector<int64_t> seeds = draw_seeds(sample.view(), most);
  std::vector<Matrix<float>> centres;  // as regions.tried
  double best = 0;
  for (int64_t k = 2; k <= most; ++k) {
    Matrix<float> start(k, x.cols);
    TRACER_RETURN_IF_ERROR(
        backend.gather_rows(sample.view(), std::span(seeds).first(static_cast<size_t>(k)), start.view()));
    TRACER_ASSIGN_OR_RETURN(auto cells, lloyd(backend, sample.view(), std::move(start)));
    regions.tried.push_back({k, silhouette(backend, sample.view(), cells)});
    best = std::max(best, regions.tried.back().silhouette);
    centres.push_back(std::move(cells.centre));
  }
  size_t chosen = centres.size() - 1;
  while (regions.tried[chosen].silhouette < best - kSilhouetteGivenUp) --chosen;
  TRACER_ASSIGN_OR_RETURN(auto cells, lloyd(backend, x, std::move(centres[chosen])));
  regions.region = std::move(cells.cell), regions.distance2 = std::move(cells.distance2);
  renumber(regions, cells.size);
  return regions;
}

}  // namespace tracer
