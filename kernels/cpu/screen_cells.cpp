#include "kernels/cpu/screen_cells.h"

#include <algorithm>
#include <numeric>

#include "kernels/cpu/kmeans.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kRowsOfCell = 64, kMostCells = 256;
constexpr int kIterations = 4;

Matrix<int32_t> nearest_cells(const Context& context, const Matrix<float>& centroid) {
  const int64_t cells = centroid.rows(), near = std::min(Cells::kNear, cells);
  Matrix<int32_t> out(cells, near);
  Matrix<double> distances(context.pool->threads(), cells);
  Matrix<int32_t> orders(context.pool->threads(), cells);
  run(*context.pool, cells, [&](int64_t c, int worker) {
    double* distance = distances.row(worker);
    int32_t* order = orders.row(worker);
    for (int64_t o = 0; o < cells; ++o)
      distance[o] = o == c ? -1 : squared_distance(centroid.row(c), centroid.row(o), centroid.cols());
    std::iota(order, order + cells, 0);
    std::partial_sort(order, order + near, order + cells, [&](int32_t a, int32_t b) {
      return distance[a] < distance[b] || (distance[a] == distance[b] && a < b);
    });
    std::copy_n(order, near, out.row(c));
  });
  return out;
}

}  // namespace

Cells make_cells(const Context& context, HostMatrix<const float> sample, int64_t references) {
  const int64_t cells = std::clamp<int64_t>(references / kRowsOfCell, 1, std::min(kMostCells, sample.rows));
  Cells out;
  out.centroid = Matrix<float>(cells, sample.cols);
  for (int64_t c = 0; c < cells; ++c) {
    std::copy_n(sample.row(c * sample.rows / cells), sample.cols, out.centroid.row(c));
  }
  std::vector<int32_t> label(static_cast<size_t>(sample.rows));
  std::vector<int64_t> count(static_cast<size_t>(cells));
  for (int i = 0; i < kIterations; ++i) {  // the shapes fit
    (void)kmeans_assign(context, sample, out.centroid.view(), label, {});
    (void)kmeans_update(context, sample, label, out.centroid.view(), count);
  }
  out.near = nearest_cells(context, out.centroid);
  return out;
}

std::vector<int32_t> order_by_cell(const std::vector<int32_t>& cell, int64_t cells, std::vector<int32_t>& out) {
  std::vector<int32_t> begin(static_cast<size_t>(cells) + 1, 0);
  for (int32_t c : cell) ++begin[static_cast<size_t>(c) + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<int32_t> next(begin.begin(), begin.end() - 1);
  out.resize(cell.size());
  for (size_t i = 0; i < cell.size(); ++i) {
    out[static_cast<size_t>(next[static_cast<size_t>(cell[i])]++)] = static_cast<int32_t>(i);
  }
  return begin;
}

}  // namespace tracer::cpu
