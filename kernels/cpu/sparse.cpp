#include "kernels/cpu/sparse.h"

#include <algorithm>

#include "kernels/cpu/gemm.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kRows = 64;  // of a task

}  // namespace

Status sparse_product(const Context& context, const SparseRows& a, HostMatrix<const float> b, HostMatrix<float> out) {
  if (static_cast<int64_t>(a.begin.size()) != out.rows + 1 || out.cols != b.cols)
    return internal_error("sparse_product: the shapes do not fit");
  const int64_t entries = a.begin.back();
  if (a.begin.front() != 0 || !std::is_sorted(a.begin.begin(), a.begin.end()) ||
      entries > static_cast<int64_t>(a.index.size()) || a.index.size() != a.weight.size())
    return internal_error("sparse_product: rows must begin in ascending order, inside index and weight");
  if (out.cols == 0) return {};
  const IsaKernels& isa = *context.isa;
  run(*context.pool, ceil_div(out.rows, kRows), [&](int64_t task, int) {
    for (int64_t i = task * kRows; i < std::min(out.rows, (task + 1) * kRows); ++i) {
      const int64_t first = a.begin[static_cast<size_t>(i)], last = a.begin[static_cast<size_t>(i) + 1];
      isa.weighted_rows(last - first, a.index.data() + first, a.weight.data() + first, b.data, b.stride, b.cols,
                        out.row(i));
    }
  });
  return {};
}

}  // namespace tracer::cpu
