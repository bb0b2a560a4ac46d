#include "engine/learn/mlp.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/learn/softmax_path.h"
#include "engine/maths/random.h"
#include "engine/policy/added_member.h"

namespace tracer {
namespace {

constexpr int64_t kChunk = 16384;  // parameters of a task
constexpr double kFirst = 0.9, kSecond = 0.999, kEpsilon = 1e-8;

std::span<float> flat(Matrix<float>& m) { return {m.data(), static_cast<size_t>(m.size())}; }

}  // namespace

MlpTrainer::MlpTrainer(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label, int64_t classes,
                       std::vector<int32_t> rows, MlpOptions options)
    : backend_(backend),
      x_(x),
      label_(label),
      classes_(classes),
      rows_(std::move(rows)),
      options_(std::move(options)),
      seen_(static_cast<size_t>(classes), 0) {
  for (int32_t row : rows_) seen_[static_cast<size_t>(label_[static_cast<size_t>(row)])] = 1;
  std::vector<int64_t> units = options_.hidden;
  units.push_back(classes_);
  const Random random(options_.seed, Stream::kWeights);
  uint64_t drawn = 0;
  int64_t in = x_.cols;
  for (size_t l = 0; l < units.size(); ++l) {
    Layer layer;
    const auto zero = [](int64_t r, int64_t c) { return Matrix<float>(r, c); };
    layer.w = zero(in, units[l]), layer.grad_w = zero(in, units[l]), layer.mean_w = zero(in, units[l]);
    layer.b = zero(1, units[l]), layer.grad_b = zero(1, units[l]), layer.mean_b = zero(1, units[l]);
    for (auto* moments : {&layer.first_w, &layer.second_w}) moments->assign(static_cast<size_t>(in * units[l]), 0.0f);
    for (auto* moments : {&layer.first_b, &layer.second_b}) moments->assign(static_cast<size_t>(units[l]), 0.0f);
    // He et al., arXiv:1502.01852; rows of unit length count as one input. The last layer starts at 0.
    const double scale = l == 0 ? std::sqrt(2.0) : std::sqrt(2.0 / static_cast<double>(in));
    if (l + 1 < units.size())
      for (float& w : flat(layer.w)) w = static_cast<float>(scale * random.normal(drawn++));
    if (l + 1 == units.size())
      for (int64_t c = 0; c < classes_; ++c)
        if (!seen_[static_cast<size_t>(c)]) layer.b(0, c) = kRemovedBias;
    layers_.push_back(std::move(layer));
    in = units[l];
  }
}

Status MlpTrainer::gradient(std::span<const int64_t> rows, double& loss) {
  const auto n = static_cast<int64_t>(rows.size());
  if (input_.rows() != n) {
    input_ = Matrix<float>(n, x_.cols);
    for (Layer& layer : layers_) {
      layer.output = Matrix<float>(n, layer.w.cols());
      layer.delta = Matrix<float>(n, layer.w.cols());
    }
  }
  TRACER_RETURN_IF_ERROR(backend_.gather_rows(x_, rows, input_.view()));
  HostMatrix<const float> below = input_.view();
  for (size_t l = 0; l + 1 < layers_.size(); ++l) {
    TRACER_RETURN_IF_ERROR(backend_.gemm(Trans::kNo, Trans::kNo, below, layers_[l].w.view(),
                                         {flat(layers_[l].b), Activation::kRelu, {}}, layers_[l].output.view()));
    below = layers_[l].output.view();
  }
  Layer& last = layers_.back();
  TRACER_ASSIGN_OR_RETURN(auto head, backend_.prepare_head(std::as_const(last.w).view(), flat(last.b)));
  TRACER_RETURN_IF_ERROR(backend_.head_probabilities(below, *head, last.delta.view()));
  const float share = 1.0f / static_cast<float>(n);
  loss = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t label = label_[static_cast<size_t>(rows[static_cast<size_t>(i)])];
    loss -= std::log(std::max<double>(last.delta(i, label), 1e-30)) / static_cast<double>(n);
    last.delta(i, label) -= 1;
    for (int64_t c = 0; c < classes_; ++c) last.delta(i, c) *= share;
  }
  for (size_t l = layers_.size(); l-- > 0;) {
    Layer& layer = layers_[l];
    const HostMatrix<const float> input =
        l == 0 ? std::as_const(input_).view() : std::as_const(layers_[l - 1].output).view();
    TRACER_RETURN_IF_ERROR(
        backend_.gemm(Trans::kYes, Trans::kNo, input, std::as_const(layer.delta).view(), {}, layer.grad_w.view()));
    TRACER_RETURN_IF_ERROR(backend_.column_sums(std::as_const(layer.delta).view(), flat(layer.grad_b)));
    // Relu's output is positive where what went into it was.
    if (l > 0)
      TRACER_RETURN_IF_ERROR(backend_.gemm_backward(Trans::kNo, Trans::kYes, std::as_const(layer.delta).view(),
                                                    std::as_const(layer.w).view(), Activation::kRelu, input,
                                                    layers_[l - 1].delta.view()));
  }
  return {};
}

void MlpTrainer::adam(Layer& layer, double step) {
  const double t = static_cast<double>(steps_);
  const auto correction_1 = static_cast<float>(1 / (1 - std::pow(kFirst, t)));
  const auto correction_2 = static_cast<float>(1 / (1 - std::pow(kSecond, t)));
  // Of a running average that starts at its first value, not at 0.
  const auto keep = static_cast<float>(std::min(options_.averaging, (t - 1) / t));
  const auto update = [&](Matrix<float>& value, const Matrix<float>& gradient, std::vector<float>& first,
                          std::vector<float>& second, Matrix<float>& mean, double by, double decay) {
    const auto length = static_cast<float>(by), shrink = static_cast<float>(1 - by * decay);
    parallel_for(backend_, (value.size() + kChunk - 1) / kChunk, [&](int64_t chunk) {
      const int64_t from = chunk * kChunk, to = std::min(value.size(), from + kChunk);
      float* const w = value.data();
      const float* const g = gradient.data();
      float* const m = first.data();
      float* const v = second.data();
      float* const a = mean.data();
      for (int64_t j = from; j < to; ++j) {
        m[j] += static_cast<float>(1 - kFirst) * (g[j] - m[j]);
        v[j] += static_cast<float>(1 - kSecond) * (g[j] * g[j] - v[j]);
        w[j] = shrink * w[j] -
               length * correction_1 * m[j] / (std::sqrt(correction_2 * v[j]) + static_cast<float>(kEpsilon));
        a[j] = keep * a[j] + (1 - keep) * w[j];
      }
    });
  };
  update(layer.w, layer.grad_w, layer.first_w, layer.second_w, layer.mean_w, step, options_.decay);
  update(layer.b, layer.grad_b, layer.first_b, layer.second_b, layer.mean_b, options_.step, 0);
}

Status MlpTrainer::epoch() {
  const auto n = static_cast<int64_t>(rows_.size());
  const Random random(options_.seed, Stream::kBatch);
  std::vector<std::pair<uint64_t, int32_t>> order;
  order.reserve(rows_.size());
  for (int32_t row : rows_)
    order.emplace_back(random.bits((static_cast<uint64_t>(epochs_) << 40) + static_cast<uint64_t>(row)), row);
  std::sort(order.begin(), order.end());
  ++epochs_;
  // Batches of nearly equal size: a small last one would be a noisy step.
  const int64_t batches = std::max<int64_t>(1, (n + options_.batch / 2) / options_.batch);
  std::vector<int64_t> batch;
  for (int64_t b = 0; b < batches; ++b) {
    batch.clear();
    for (int64_t i = b * n / batches; i < (b + 1) * n / batches; ++i)
      batch.push_back(order[static_cast<size_t>(i)].second);
    double loss = 0;
    TRACER_RETURN_IF_ERROR(gradient(batch, loss));
    ++steps_;
    for (size_t l = 0; l < layers_.size(); ++l)
      adam(layers_[l], l == 0 ? options_.step * std::sqrt(static_cast<double>(x_.cols)) : options_.step);
  }
  return {};
}

std::vector<MlpTrainer::Part> MlpTrainer::parts() {
  std::vector<Part> all;
  for (Layer& layer : layers_) {
    all.push_back({flat(layer.w), flat(layer.grad_w), layer.w.rows()});
    all.push_back({flat(layer.b), flat(layer.grad_b), 0});
  }
  return all;
}

AddedMember MlpTrainer::network() const {
  AddedMember member;
  member.kind = layers_.size() > 2 ? MemberKind::kMlp2 : MemberKind::kMlp;
  const auto bias = [&](const Layer& l) {
    const Matrix<float>& b = steps_ == 0 ? l.b : l.mean_b;
    return std::vector<float>(b.data(), b.data() + b.size());
  };
  for (size_t l = 0; l + 1 < layers_.size(); ++l)
    member.hidden.push_back({(steps_ == 0 ? layers_[l].w : layers_[l].mean_w).clone(), bias(layers_[l])});
  member.w = (steps_ == 0 ? layers_.back().w : layers_.back().mean_w).clone();
  member.b = bias(layers_.back());
  for (size_t c = 0; c < member.b.size(); ++c)
    if (!seen_[c]) member.b[c] = kRemovedBias;
  return member;
}

}  // namespace tracer
