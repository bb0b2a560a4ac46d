#include "engine/torch/bert_layers.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>

namespace tracer {
namespace {

using at::Tensor;

Tensor view(HostMatrix<const float> m) {
  return at::from_blob(const_cast<float*>(m.data), {m.rows, m.cols}, {m.stride, 1}, at::kFloat);
}
Tensor view(const float* v, int64_t size) { return at::from_blob(const_cast<float*>(v), {size}, at::kFloat); }

}  // namespace

void write_places(const TokenBatch& batch, int32_t* place) {
  for (int64_t i = 0; i < batch.sequences(); ++i)
    for (int64_t t = batch.start[i]; t < batch.start[i + 1]; ++t) place[t] = static_cast<int32_t>(t - batch.start[i]);
}

Tensor BertLayers::Linear::operator()(const Tensor& x) const { return at::linear(x, w, b); }

BertLayers::BertLayers(const TransformerShape& shape, const TransformerWeights& weights, at::ScalarType type,
                       at::Device device)
    : shape_(shape), options_(at::TensorOptions().dtype(type).device(device)) {
  word_ = matrix(weights.word);
  // Every token is of type 0, whose vector is added once and for all.
  position_ = view(weights.position).add(view(weights.type, shape_.hidden)).to(options_);
  embedding_norm_ = norm(weights.embedding_norm);
  for (const TransformerWeights::Layer& l : weights.layers)
    layers_.push_back({{at::cat({matrix(l.query.w), matrix(l.key.w), matrix(l.value.w)}),
                        at::cat({vector(l.query.b, shape_.hidden), vector(l.key.b, shape_.hidden),
                                 vector(l.value.b, shape_.hidden)})},
                       linear(l.attention_output),
                       norm(l.attention_norm),
                       linear(l.up),
                       linear(l.down),
                       norm(l.output_norm)});
}

Tensor BertLayers::matrix(HostMatrix<const float> m) const {
  return view(m).to(options_, /*non_blocking=*/false, /*copy=*/true);
}

Tensor BertLayers::vector(const float* v, int64_t size) const { return view(v, size).to(options_, false, true); }

BertLayers::Linear BertLayers::linear(const TransformerWeights::Linear& l) const {
  return {matrix(l.w), vector(l.b, l.w.rows)};
}

BertLayers::Norm BertLayers::norm(const TransformerWeights::Norm& n) const {
  return {vector(n.scale, shape_.hidden), vector(n.shift, shape_.hidden)};
}

Tensor BertLayers::normalised(const Tensor& x, const Norm& n) const {
  return at::layer_norm(x, {shape_.hidden}, n.scale, n.shift, shape_.norm_epsilon);
}

Tensor BertLayers::activated(const Tensor& x) const {
  switch (shape_.activation) {
    case HiddenActivation::kRelu:
      return at::relu(x);
    case HiddenActivation::kGeluTanh:
      return at::gelu(x, "tanh");
    case HiddenActivation::kGelu:
      break;
  }
  return at::gelu(x);
}

}  // namespace tracer
