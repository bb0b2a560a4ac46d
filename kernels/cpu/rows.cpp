#include "kernels/cpu/rows.h"

#include <algorithm>

namespace tracer::cpu {
namespace {

constexpr int64_t kRowBlock = 64;

template <class F>
void for_each_row(const Context& context, int64_t rows, F&& f) {
  run(*context.pool, ceil_div(rows, kRowBlock), [&](int64_t block, int) {
    for (int64_t i = block * kRowBlock; i < std::min(rows, (block + 1) * kRowBlock); ++i) f(i);
  });
}

template <class From, class To, class F>
Status cast_with(const Context& context, HostMatrix<const From> x, HostMatrix<To> out, F&& convert) {
  if (x.rows != out.rows || x.cols != out.cols) return internal_error("cast: the shapes differ");
  for_each_row(context, x.rows, [&](int64_t i) { std::transform(x.row(i), x.row(i) + x.cols, out.row(i), convert); });
  return {};
}

template <class T>
Status gather(const Context& context, HostMatrix<const T> x, std::span<const int64_t> index, HostMatrix<T> out) {
  if (out.rows != static_cast<int64_t>(index.size()) || out.cols != x.cols) {
    return internal_error("gather_rows: the output must have one row for each index");
  }
  for (const int64_t i : index) {
    if (i < 0 || i >= x.rows) return internal_error("gather_rows: an index is out of range");
  }
  for_each_row(context, out.rows,
               [&](int64_t i) { std::copy_n(x.row(index[static_cast<size_t>(i)]), x.cols, out.row(i)); });
  return {};
}

}  // namespace

Status cast(const Context& context, HostMatrix<const float> x, HostMatrix<BFloat16> out) {
  return cast_with(context, x, out, [](float v) { return to_bfloat16(v); });
}

Status cast(const Context& context, HostMatrix<const BFloat16> x, HostMatrix<float> out) {
  return cast_with(context, x, out, [](BFloat16 v) { return to_float(v); });
}

Status gather_rows(const Context& context, HostMatrix<const float> x, std::span<const int64_t> index,
                   HostMatrix<float> out) {
  return gather(context, x, index, out);
}

Status gather_rows(const Context& context, HostMatrix<const BFloat16> x, std::span<const int64_t> index,
                   HostMatrix<BFloat16> out) {
  return gather(context, x, index, out);
}

}  // namespace tracer::cpu
