#include "kernels/cpu/rows.h"

#include <algorithm>

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 64;

}  // namespace

Status gather_rows(const Context& context, HostMatrix<const float> x, std::span<const int64_t> index,
                   HostMatrix<float> out) {
  if (out.rows != static_cast<int64_t>(index.size()) || out.cols != x.cols) {
    return internal_error("gather_rows: the output must have one row for each index");
  }
  for (const int64_t i : index) {
    if (i < 0 || i >= x.rows) return internal_error("gather_rows: an index is out of range");
  }
  run(*context.pool, ceil_div(out.rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(out.rows, (block + 1) * kRowBlock); ++i) {
      std::copy_n(x.row(index[static_cast<size_t>(i)]), x.cols, out.row(i));
    }
  });
  return {};
}

}  // namespace tracer::cpu
