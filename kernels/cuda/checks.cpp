#include "kernels/cuda/checks.h"

#include <algorithm>
#include <limits>
#include <string>

namespace tracer::cuda {

namespace {

constexpr int64_t kMaxNeighbours = 64;
constexpr int64_t kMaxCentroids = 4096;

template <class T>
int64_t size(std::span<T> values) {
  return static_cast<int64_t>(values.size());
}

}  // namespace

Status check_product(Trans ta, Trans tb, int64_t a_rows, int64_t a_cols, int64_t b_rows, int64_t b_cols,
                     HostMatrix<float> c) {
  if (ta == Trans::kYes) std::swap(a_rows, a_cols);
  if (tb == Trans::kYes) std::swap(b_rows, b_cols);
  if (a_cols != b_rows || c.rows != a_rows || c.cols != b_cols) {
    return internal_error("gemm: shapes of a, b and c do not fit");
  }
  return {};
}

Status check_epilogue(const Epilogue& epilogue, HostMatrix<float> c) {
  if (!epilogue.bias.empty() && size(epilogue.bias) != c.cols) {
    return internal_error("gemm: bias must have c.cols values");
  }
  const HostMatrix<float>& pre = epilogue.pre;
  if (pre.data != nullptr && (pre.rows != c.rows || pre.cols != c.cols)) {
    return internal_error("gemm: pre must have the shape of c");
  }
  return {};
}

Status check_sparse(const SparseRows& a, int64_t cols, HostMatrix<float> out) {
  if (size(a.begin) != out.rows + 1 || out.cols != cols) return internal_error("sparse_product: the shapes do not fit");
  if (a.begin.front() != 0 || !std::is_sorted(a.begin.begin(), a.begin.end()) || a.begin.back() > size(a.index) ||
      a.index.size() != a.weight.size()) {
    return internal_error("sparse_product: rows must begin in ascending order, inside index and weight");
  }
  return {};
}

Status check_gather(int64_t rows, int64_t cols, std::span<const int64_t> index, int64_t out_rows, int64_t out_cols) {
  if (out_rows != size(index) || out_cols != cols) {
    return internal_error("gather_rows: the output must have one row for each index");
  }
  for (const int64_t i : index) {
    if (i < 0 || i >= rows) return internal_error("gather_rows: an index is out of range");
  }
  return {};
}

Status check_references(int64_t rows, const ReferenceOptions& options) {
  const auto fits = [&](std::span<const int32_t> values) { return values.empty() || size(values) == rows; };
  if (rows >= std::numeric_limits<int32_t>::max()) return internal_error("prepare_references: too many references");
  if (!fits(options.group)) return internal_error("prepare_references: one group for each reference");
  if (!fits(options.label)) return internal_error("prepare_references: one label for each reference");
  if (std::any_of(options.label.begin(), options.label.end(), [](int32_t l) { return l < 0; })) {
    return internal_error("prepare_references: a label is negative");
  }
  return {};
}

Status check_search(int64_t rows, int64_t cols, const References& r, std::span<const int32_t> q_group, const TopK& out,
                    std::span<NeighbourSummary> summary) {
  if (cols != r.cols()) return internal_error("topk_cosine: queries and references differ in width");
  const int64_t k = out.index.cols;
  if (k > kMaxNeighbours) return internal_error("topk_cosine: k is above 64");
  if (out.index.rows != rows || out.similarity.rows != rows || out.similarity.cols != k) {
    return internal_error("topk_cosine: the output must be queries x k");
  }
  if (!q_group.empty() && size(q_group) != rows) return internal_error("topk_cosine: one group for each row");
  if (!summary.empty() && size(summary) != rows) return internal_error("topk_cosine: one summary for each query");
  return {};
}

Status check_head(HostMatrix<const float> w, std::span<const float> b) {
  if (w.cols < 1) return internal_error("prepare_head: at least one class");
  if (size(b) != w.cols) return internal_error("prepare_head: w must be d x C, b C");
  if (std::all_of(b.begin(), b.end(), [](float v) { return v <= kRemovedBias; })) {
    return internal_error("prepare_head: every class is removed");
  }
  return {};
}

Status check_vote(const NeighbourVote& vote, int64_t rows, int64_t classes) {
  const int64_t k = vote.neighbour.cols;
  if (k != vote.similarity.cols || (k > 0 && (vote.neighbour.rows != rows || vote.similarity.rows != rows))) {
    return internal_error("decision_features_from: neighbour and similarity must be n x k");
  }
  for (const int32_t label : vote.reference_label) {
    if (label < 0 || label >= classes)
      return internal_error("decision_features_from: a reference label is out of range");
  }
  const int64_t references = size(vote.reference_label);
  for (int64_t i = 0; k > 0 && i < rows; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      if (vote.neighbour(i, j) >= references)
        return internal_error("decision_features_from: a neighbour is out of range");
    }
  }
  return {};
}

Status check_probabilities(HostMatrix<const float> x, const LinearHead& head, HostMatrix<float> out) {
  if (x.cols != head.dimension()) return internal_error("head_probabilities: rows and head differ in width");
  if (out.rows != x.rows || out.cols != head.classes()) {
    return internal_error("head_probabilities: the output must be n x C");
  }
  return {};
}

Status check_parity(const ParitySweepProblem& p, HostMatrix<ParityPoint> out) {
  const int64_t n = size(p.score), segments = size(p.segment_begin) - 1;
  if (p.agree.size() != p.score.size()) return internal_error("parity_sweep: one flag for each score");
  if (segments < 0 || p.segment_begin.front() != 0 || p.segment_begin.back() != n) {
    return internal_error("parity_sweep: segments must cover the rows");
  }
  int64_t longest = 0;
  for (size_t s = 0; s < static_cast<size_t>(segments); ++s) {
    const int64_t rows = p.segment_begin[s + 1] - p.segment_begin[s];
    if (rows < 0) return internal_error("parity_sweep: segments must ascend");
    longest = std::max(longest, rows);
  }
  if (p.allowed.cols < longest + 1) return internal_error("parity_sweep: allowed must cover the longest segment");
  if (out.rows != segments || out.cols != p.allowed.rows) return internal_error("parity_sweep: out must be S x A");
  return {};
}

Status check_assign(HostMatrix<const float> x, HostMatrix<const float> centroid, std::span<int32_t> label,
                    std::span<float> distance2) {
  if (centroid.cols != x.cols) return internal_error("kmeans_assign: rows and centroids differ in width");
  if (centroid.rows < 1 || centroid.rows > kMaxCentroids) {
    return internal_error("kmeans_assign: between 1 and 4,096 centroids");
  }
  if (size(label) != x.rows || (!distance2.empty() && size(distance2) != x.rows)) {
    return internal_error("kmeans_assign: one label and one distance for each row");
  }
  return {};
}

Status check_update(HostMatrix<const float> x, std::span<const int32_t> label, HostMatrix<float> centroid,
                    std::span<int64_t> count) {
  if (centroid.cols != x.cols) return internal_error("kmeans_update: rows and centroids differ in width");
  if (size(label) != x.rows || size(count) != centroid.rows) {
    return internal_error("kmeans_update: one label for each row, one count for each centroid");
  }
  for (const int32_t l : label) {
    if (l < 0 || l >= centroid.rows) return internal_error("kmeans_update: a label is outside [0, centroids)");
  }
  return {};
}

}  // namespace tracer::cuda
