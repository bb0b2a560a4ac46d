#include "engine/policy/added_member.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/policy/trees.h"

namespace tracer {
namespace {

constexpr int64_t kBlock = 256;  // rows of a task

}  // namespace

Result<std::unique_ptr<LinearHead>> prepare_member(Backend& backend, const AddedMember& member) {
  if (member.kind == MemberKind::kGbt) return std::unique_ptr<LinearHead>();
  return backend.prepare_head(member.w.view(), member.b);
}

Status member_probabilities(Backend& backend, const AddedMember& member, const LinearHead* head,
                            HostMatrix<const float> x, HostMatrix<float> out) {
  if (head == nullptr) {
    tree_probabilities(backend, member, x, out);
    return {};
  }
  Matrix<float> below;
  HostMatrix<const float> h = x;
  for (const HiddenLayer& layer : member.hidden) {
    Matrix<float> next(x.rows, layer.w.cols());
    TRACER_RETURN_IF_ERROR(
        backend.gemm(Trans::kNo, Trans::kNo, h, layer.w.view(), {layer.b, Activation::kRelu, {}}, next.view()));
    below = std::move(next);
    h = std::as_const(below).view();
  }
  return backend.head_probabilities(h, *head, out);
}

void softmax_of(std::span<const float> b, std::span<double> z) {
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (size_t c = 0; c < z.size(); ++c)
    if (b[c] > kRemovedBias) most = std::max(most, z[c]);
  for (size_t c = 0; c < z.size(); ++c) {
    // As the kernels have it: a removed label's probability is exactly 0, however far down the others lie.
    z[c] = b[c] <= kRemovedBias ? 0.0 : std::exp(z[c] - most);
    sum += z[c];
  }
  for (double& v : z) v /= sum;
}

std::vector<double> canonical_member(const AddedMember& member, const float* x, int64_t dimension) {
  if (member.kind == MemberKind::kGbt) {
    std::vector<double> z = tree_logits(member.trees, x, dimension, static_cast<int64_t>(member.b.size()));
    softmax_of(member.b, z);
    return z;
  }
  std::vector<double> h(x, x + dimension);
  const auto layer = [&](const Matrix<float>& w, const std::vector<float>& b) {
    std::vector<double> z(b.begin(), b.end());
    for (int64_t k = 0; k < w.rows(); ++k) {
      const double value = h[static_cast<size_t>(k)];
      if (value == 0) continue;  // what relu switched off
      const float* row = w.row(k);
      for (size_t c = 0; c < z.size(); ++c) z[c] += value * static_cast<double>(row[c]);
    }
    return z;
  };
  for (const HiddenLayer& hidden : member.hidden) {
    h = layer(hidden.w, hidden.b);
    for (double& v : h) v = std::max(v, 0.0);
  }
  h = layer(member.w, member.b);
  softmax_of(member.b, h);
  return h;
}

void mix_members(Backend& backend, HostMatrix<const float> softmax, std::span<const float> weight,
                 const std::vector<Matrix<float>>& added, HostMatrix<float> q) {
  float rest = 1;
  for (float w : weight) rest -= w;
  parallel_for(backend, (softmax.rows + kBlock - 1) / kBlock, [&](int64_t block) {
    for (int64_t i = block * kBlock; i < std::min(softmax.rows, (block + 1) * kBlock); ++i)
      for (int64_t c = 0; c < softmax.cols; ++c) {
        float sum = rest * softmax(i, c);
        for (size_t m = 0; m < weight.size(); ++m) sum += weight[m] * added[m](i, c);
        q(i, c) = sum;
      }
  });
}

}  // namespace tracer
