#include "kernels/cpu/kmeans.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace tracer::cpu {
namespace {

constexpr int64_t kMaxCentroids = 4096;
constexpr int64_t kCentroids = 192;  // scored at once: their scores of a block of rows stay in the first-level cache

constexpr int64_t kSums = 8;  // independent sums: one chain of float64 additions would wait for each one

}  // namespace

double squared_distance(const float* x, const float* y, int64_t d) {
  double sum[kSums] = {};
  const auto add = [&](int64_t s, int64_t j) {
    const double diff = static_cast<double>(x[j]) - static_cast<double>(y[j]);
    sum[s] += diff * diff;
  };
  int64_t j = 0;
  for (; j + kSums <= d; j += kSums) {
    for (int64_t s = 0; s < kSums; ++s) add(s, j + s);
  }
  for (int64_t s = 0; j < d; ++j, ++s) add(s, j);
  for (int64_t half = kSums / 2; half > 0; half /= 2) {
    for (int64_t s = 0; s < half; ++s) sum[s] += sum[s + half];
  }
  return sum[0];
}

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
  // Rows stand in the lanes (kernels/cpu/head_kernels.h); the centroids are the classes.
  const HeadKernels& kernels = *context.isa->head;
  const int64_t width = kernels.width, group = kernels.group;
  const Scratch panels = context.scratch->take(d * round_up(k, group));
  run(*context.pool, ceil_div(k, group), [&](int64_t g, int) {
    context.isa->pack_a(true, centroid.row(g * group), centroid.stride, std::min(group, k - g * group), d,
                        panels.data() + g * group * d);
  });
  const int64_t each = kCentroids / group * group;
  const int64_t x_floats = round_up(d * width, 16), floats = x_floats + round_up(each * width, 16);
  const Scratch scratch = context.scratch->take(floats * context.pool->threads());
  run(*context.pool, ceil_div(n, width), [&](int64_t block, int worker) {
    float* packed = scratch.data() + worker * floats;
    float* score = packed + x_floats;
    const int64_t first = block * width, rows = std::min(width, n - first);
    const int64_t vectors = ceil_div(rows, kernels.lanes);
    alignas(64) float best[kMaxHeadWidth], second[kMaxHeadWidth];
    alignas(64) int32_t nearest[kMaxHeadWidth] = {};
    std::fill_n(best, width, -std::numeric_limits<float>::infinity());
    std::fill_n(second, width, -std::numeric_limits<float>::infinity());
    context.isa->pack_b(true, x.row(first), x.stride, rows, d, packed);
    for (int64_t c = 0; c < k; c += each) {
      const int64_t here = std::min(each, k - c);
      kernels.logits(here, vectors, d, panels.data() + c * d, packed, bias.data() + c, score, {});
      kernels.best_two(here, vectors, static_cast<int32_t>(c), score, best, second, nearest);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(first + r);
      label[i] = nearest[r];
      if (!distance2.empty()) {
        distance2[i] = static_cast<float>(squared_distance(x.row(first + r), centroid.row(nearest[r]), d));
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
