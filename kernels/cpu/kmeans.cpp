#include "kernels/cpu/kmeans.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/gemm.h"

namespace tracer::cpu {
namespace {

constexpr int64_t kMaxCentroids = 4096;
constexpr int64_t kRowBlock = 48;

double squared_distance(const float* x, const float* y, int64_t d) {
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) {
    const double diff = static_cast<double>(x[j]) - static_cast<double>(y[j]);
    sum += diff * diff;
  }
  return sum;
}

}  // namespace

Status kmeans_assign(const Context& context, HostMatrix<const float> x, HostMatrix<const float> centroid,
                     std::span<int32_t> label, std::span<float> distance2) {
  const int64_t n = x.rows, d = x.cols, k = centroid.rows;
  if (centroid.cols != d) return internal_error("kmeans_assign: rows and centroids differ in width");
  if (k < 1 || k > kMaxCentroids) return internal_error("kmeans_assign: between 1 and 4,096 centroids");
  if (static_cast<int64_t>(label.size()) != n || (!distance2.empty() && static_cast<int64_t>(distance2.size()) != n)) {
    return internal_error("kmeans_assign: one label and one distance for each row");
  }
  if (n == 0) return {};
  std::vector<float> bias(static_cast<size_t>(k));
  const std::vector<float> origin(static_cast<size_t>(d), 0.0f);
  for (int64_t c = 0; c < k; ++c) {
    bias[static_cast<size_t>(c)] = static_cast<float>(-0.5 * squared_distance(centroid.row(c), origin.data(), d));
  }
  const IsaKernels& isa = *context.isa;
  const Scratch packed = context.scratch->take(packed_b_size(isa, d, k));
  pack_b(context, Trans::kYes, centroid, d, k, packed.data());
  const int64_t pack_floats = round_up(kRowBlock * d, 16);
  const int64_t floats = round_up(pack_floats + kRowBlock * k, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(n, kRowBlock), [&](int64_t block, int worker) {
    float* packed_x = scratch.data() + worker * floats;
    float* score = packed_x + pack_floats;
    const int64_t first = block * kRowBlock, rows = std::min(kRowBlock, n - first);
    pack_a_rows(isa, Trans::kNo, x, first, rows, d, packed_x);
    if (d == 0) std::fill_n(score, rows * k, 0.0f);
    multiply_packed(isa, rows, k, d, packed_x, packed.data(), nullptr, score, k);
    isa.add_bias(score, k, rows, k, bias.data());
    for (int64_t r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(first + r);
      label[i] = static_cast<int32_t>(std::max_element(score + r * k, score + (r + 1) * k) - (score + r * k));
      if (!distance2.empty()) {
        distance2[i] = static_cast<float>(squared_distance(x.row(first + r), centroid.row(label[i]), d));
      }
    }
  });
  return {};
}

Status kmeans_update(const Context& context, HostMatrix<const float> x, std::span<const int32_t> label,
                     HostMatrix<float> centroid, std::span<int64_t> count) {
  const int64_t n = x.rows, d = x.cols, k = centroid.rows;
  if (centroid.cols != d) return internal_error("kmeans_update: rows and centroids differ in width");
  if (static_cast<int64_t>(label.size()) != n || static_cast<int64_t>(count.size()) != k) {
    return internal_error("kmeans_update: one label for each row, one count for each centroid");
  }
  for (const int32_t l : label) {
    if (l < 0 || l >= k) return internal_error("kmeans_update: a label is outside [0, centroids)");
  }
  // Rows by cluster, in ascending index within each: a cluster's sum is then one task's, in a fixed order.
  std::vector<int64_t> begin(static_cast<size_t>(k + 1), 0), row(static_cast<size_t>(n));
  for (const int32_t l : label) ++begin[static_cast<size_t>(l) + 1];
  for (size_t c = 0; c < static_cast<size_t>(k); ++c) begin[c + 1] += begin[c];
  std::vector<int64_t> next(begin.begin(), begin.end() - 1);
  for (int64_t i = 0; i < n; ++i)
    row[static_cast<size_t>(next[static_cast<size_t>(label[static_cast<size_t>(i)])]++)] = i;

  std::vector<double> sums(static_cast<size_t>(context.pool->threads() * d));
  run(*context.pool, k, [&](int64_t c, int worker) {
    const int64_t from = begin[static_cast<size_t>(c)], to = begin[static_cast<size_t>(c) + 1];
    count[static_cast<size_t>(c)] = to - from;
    if (from == to) return;
    double* sum = sums.data() + worker * d;
    std::fill_n(sum, d, 0.0);
    for (int64_t r = from; r < to; ++r) {
      const float* xr = x.row(row[static_cast<size_t>(r)]);
      for (int64_t j = 0; j < d; ++j) sum[j] += static_cast<double>(xr[j]);
    }
    for (int64_t j = 0; j < d; ++j) centroid(c, j) = static_cast<float>(sum[j] / static_cast<double>(to - from));
  });
  return {};
}

}  // namespace tracer::cpu
