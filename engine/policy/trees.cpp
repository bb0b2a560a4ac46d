#include "engine/policy/trees.h"

#include <algorithm>
#include <cmath>

#include "engine/policy/added_member.h"

namespace tracer {
namespace {

constexpr int64_t kRows = 64;  // of a task

// Adds to z; one task's rows share the trees while these are in the caches.
void add_trees(const Trees& trees, HostMatrix<const float> x, int64_t classes, double* z) {
  for (size_t t = 0; t < trees.root.size(); ++t) {
    const auto label = static_cast<int64_t>(t) % classes;
    for (int64_t i = 0; i < x.rows; ++i) {
      auto node = static_cast<size_t>(trees.root[t]);
      while (trees.feature[node] >= 0)
        node =
            static_cast<size_t>(x(i, trees.feature[node]) < trees.value[node] ? trees.left[node] : trees.right[node]);
      z[i * classes + label] += static_cast<double>(trees.value[node]);
    }
  }
}

}  // namespace

const char* trees_problem(const Trees& trees, int64_t dimension, int64_t classes) {
  const auto nodes = static_cast<int64_t>(trees.feature.size());
  if (trees.value.size() != trees.feature.size() || trees.left.size() != trees.feature.size() ||
      trees.right.size() != trees.feature.size())
    return "as many features as values and children";
  if (classes < 1 || trees.root.size() % static_cast<size_t>(classes) != 0) return "as many trees for every label";
  if (trees.root.empty() != trees.feature.empty()) return "nodes where there are trees";
  for (size_t t = 0; t < trees.root.size(); ++t) {
    const int64_t first = trees.root[t], end = t + 1 < trees.root.size() ? trees.root[t + 1] : nodes;
    if ((t == 0 && first != 0) || first < 0 || first >= end || end > nodes) return "trees one after the other";
    for (int64_t i = first; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      if (!std::isfinite(trees.value[at])) return "finite numbers";
      if (trees.feature[at] < 0) continue;
      if (trees.feature[at] >= dimension) return "features of the vectors";
      for (const int64_t child : {trees.left[at], trees.right[at]})
        if (child <= i || child >= end) return "children after their node, within its tree";
    }
  }
  return "";
}

std::vector<double> tree_logits(const Trees& trees, const float* x, int64_t dimension, int64_t classes) {
  std::vector<double> z(static_cast<size_t>(classes), 0.0);
  add_trees(trees, {x, 1, dimension, dimension}, classes, z.data());
  return z;
}

void tree_probabilities(Backend& backend, const AddedMember& member, HostMatrix<const float> x, HostMatrix<float> out) {
  Matrix<double> logits(x.rows, out.cols);
  parallel_for(backend, (x.rows + kRows - 1) / kRows, [&](int64_t block) {
    const int64_t first = block * kRows, count = std::min(kRows, x.rows - first);
    add_trees(member.trees, x.rows_from(first, count), out.cols, logits.row(first));
    for (int64_t i = first; i < first + count; ++i) {
      softmax_of(member.b, {logits.row(i), static_cast<size_t>(out.cols)});
      for (int64_t c = 0; c < out.cols; ++c) out(i, c) = static_cast<float>(logits(i, c));
    }
  });
}

}  // namespace tracer
