#include "engine/maths/sparse_matrix.h"

#include <numeric>

namespace tracer {

SparseMatrix transposed(const SparseMatrix& a, int64_t columns) {
  SparseMatrix t;
  t.begin.assign(static_cast<size_t>(columns) + 1, 0);
  for (const int32_t column : a.index) ++t.begin[static_cast<size_t>(column) + 1];
  std::partial_sum(t.begin.begin(), t.begin.end(), t.begin.begin());
  std::vector<int64_t> next(t.begin.begin(), t.begin.end() - 1);
  t.index.resize(a.index.size());
  t.weight.resize(a.weight.size());
  for (size_t i = 0; i + 1 < a.begin.size(); ++i)
    for (auto e = static_cast<size_t>(a.begin[i]); e < static_cast<size_t>(a.begin[i + 1]); ++e) {
      const auto at = static_cast<size_t>(next[static_cast<size_t>(a.index[e])]++);
      t.index[at] = static_cast<int32_t>(i);
      t.weight[at] = a.weight[e];
    }
  return t;
}

}  // namespace tracer
