// Cells of the references of a screen: what lies close together stands together, so that a query finds most of its
// neighbours in a few panels, and queries of one cell look at the same rows.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

struct Cells {
  static constexpr int64_t kNear = 8;

  Matrix<float> centroid;      // cells x m, in the screen's projection
  std::vector<int32_t> begin;  // cells + 1: positions [begin[c], begin[c + 1]) of the screen's order are cell c
  Matrix<int32_t> near;        // cells x min(kNear, cells): the nearest cells of each, itself first

  int64_t count() const { return centroid.rows(); }
};

// Centroids for `references` rows from a sample of their projections, by k-means. `begin` is left to the caller.
Cells make_cells(const Context& context, HostMatrix<const float> sample, int64_t references);

// The rows of each cell side by side, in ascending order within one: out[begin[c]] is the first row of cell c.
// Returns begin.
std::vector<int32_t> order_by_cell(const std::vector<int32_t>& cell, int64_t cells, std::vector<int32_t>& out);

}  // namespace tracer::cpu
