// A sparse matrix that owns its entries, row by row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

struct SparseMatrix {
  std::vector<int64_t> begin = {0};  // rows + 1: the entries of row i are [begin[i], begin[i + 1])
  std::vector<int32_t> index;        // column of each
  std::vector<float> weight;

  int64_t rows() const { return static_cast<int64_t>(begin.size()) - 1; }
  SparseRows view() const { return {begin, index, weight}; }
  void add(int32_t column, float value) { index.push_back(column), weight.push_back(value); }
  void end_row() { begin.push_back(static_cast<int64_t>(index.size())); }
  void add_row(std::span<const int32_t> columns, std::span<const float> values) {
    index.insert(index.end(), columns.begin(), columns.end());
    weight.insert(weight.end(), values.begin(), values.end());
    end_row();
  }
};

// Of a matrix with so many columns; entries of a row in ascending order.
SparseMatrix transposed(const SparseMatrix& a, int64_t columns);

}  // namespace tracer
