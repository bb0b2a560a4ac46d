// The transformer of engine/text/transformer.h, in libtorch. Only this folder may include its headers.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>
#include <torch/headeronly/version.h>

#include <cmath>

#include "engine/text/transformer.h"
#include "engine/torch/guarded.h"
#include "engine/torch/tile_bert.h"
#include "engine/torch/tile_product.h"

namespace tracer {
namespace {

using at::Tensor;

struct Linear {
  Tensor w, b;
  Tensor operator()(const Tensor& x) const { return at::linear(x, w, b); }
};

struct Norm {
  Tensor scale, shift;
};

struct Layer {
  Linear qkv, attention_output;
  Norm attention_norm;
  Linear up, down;
  Norm output_norm;
};

// Consecutive sequences of one length.
struct LengthRun {
  int64_t first_token, sequences, length;
};

std::vector<LengthRun> length_runs(const TokenBatch& batch) {
  std::vector<LengthRun> runs;
  for (int64_t i = 0; i < batch.sequences(); ++i) {
    const int64_t length = batch.start[i + 1] - batch.start[i];
    if (runs.empty() || runs.back().length != length) runs.push_back({batch.start[i], 0, length});
    ++runs.back().sequences;
  }
  return runs;
}

class Bert : public Transformer {
 public:
  Bert(const TransformerShape& shape, const TransformerWeights& weights, Precision precision)
      : shape_(shape), type_(precision == Precision::kFloat32 ? at::kFloat : at::kBFloat16) {
    word_ = matrix(weights.word);
    // Every token is of type 0, whose vector is added once and for all.
    position_ = matrix(weights.position, at::kFloat).add_(vector(weights.type, at::kFloat)).to(type_);
    embedding_norm_ = norm(weights.embedding_norm);
    for (const TransformerWeights::Layer& l : weights.layers)
      layers_.push_back({{at::cat({matrix(l.query.w), matrix(l.key.w), matrix(l.value.w)}),
                          at::cat({vector(l.query.b), vector(l.key.b), vector(l.value.b)})},
                         linear(l.attention_output),
                         norm(l.attention_norm),
                         linear(l.up),
                         linear(l.down),
                         norm(l.output_norm)});
  }

  bool rows_stand_alone() const override { return false; }
  Status encode(const TokenBatch& batch, HostMatrix<float> out) const override {
    return guarded([&] {
      // Threads belong to the caller: a matrix product on one thread gives the same bytes however many callers there
      // are.
      at::set_num_threads(1);
      const c10::InferenceMode inference;
      pool(forward(batch), length_runs(batch), out);
    });
  }

 private:
  Tensor matrix(HostMatrix<const float> m, at::ScalarType type) const {
    return at::from_blob(const_cast<float*>(m.data), {m.rows, m.cols}, {m.stride, 1}, at::kFloat)
        .to(type, /*non_blocking=*/false, /*copy=*/true);
  }
  Tensor matrix(HostMatrix<const float> m) const { return matrix(m, type_); }
  Tensor vector(const float* v, int64_t size, at::ScalarType type) const {
    return at::from_blob(const_cast<float*>(v), {size}, at::kFloat).to(type, false, true);
  }
  Tensor vector(const float* v, at::ScalarType type) const { return vector(v, shape_.hidden, type); }
  Tensor vector(const float* v) const { return vector(v, shape_.hidden, type_); }
  Linear linear(const TransformerWeights::Linear& l) const { return {matrix(l.w), vector(l.b, l.w.rows, type_)}; }
  Norm norm(const TransformerWeights::Norm& n) const { return {vector(n.scale), vector(n.shift)}; }

  Tensor normalised(const Tensor& x, const Norm& n) const {
    return at::layer_norm(x, {shape_.hidden}, n.scale, n.shift, shape_.norm_epsilon);
  }

  Tensor activated(const Tensor& x) const {
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

  // tokens x 3 hidden -> tokens x hidden.
  Tensor attention(const Tensor& qkv, const std::vector<LengthRun>& runs) const {
    const int64_t size = shape_.hidden / shape_.heads;
    Tensor context = at::empty({qkv.size(0), shape_.hidden}, qkv.options());
    for (const LengthRun& run : runs) {
      const int64_t tokens = run.sequences * run.length;
      // 3 x sequences x heads x length x size
      const Tensor parts = qkv.narrow(0, run.first_token, tokens)
                               .view({run.sequences, run.length, 3, shape_.heads, size})
                               .permute({2, 0, 3, 1, 4});
      const Tensor attended = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
      context.narrow(0, run.first_token, tokens)
          .view({run.sequences, run.length, shape_.heads, size})
          .copy_(attended.transpose(1, 2));
    }
    return context;
  }

  // tokens x hidden: the last layer's vectors.
  Tensor forward(const TokenBatch& batch) const {
    const auto tokens = static_cast<int64_t>(batch.ids.size());
    const Tensor ids = at::from_blob(const_cast<int32_t*>(batch.ids.data()), {tokens}, at::kInt);
    Tensor places = at::empty({tokens}, at::kInt);
    auto* place = places.data_ptr<int32_t>();
    for (int64_t i = 0; i < batch.sequences(); ++i)
      for (int64_t t = batch.start[i]; t < batch.start[i + 1]; ++t) place[t] = static_cast<int32_t>(t - batch.start[i]);
    const std::vector<LengthRun> runs = length_runs(batch);
    Tensor x = normalised(word_.index_select(0, ids).add_(position_.index_select(0, places)), embedding_norm_);
    for (const Layer& layer : layers_) {
      x = normalised(layer.attention_output(attention(layer.qkv(x), runs)).add_(x), layer.attention_norm);
      x = normalised(layer.down(activated(layer.up(x))).add_(x), layer.output_norm);
    }
    return x;
  }

  void pool(const Tensor& x, const std::vector<LengthRun>& runs, HostMatrix<float> out) const {
    int64_t row = 0;
    for (const LengthRun& run : runs) {
      const Tensor tokens = x.narrow(0, run.first_token, run.sequences * run.length)
                                .view({run.sequences, run.length, shape_.hidden})
                                .to(at::kFloat);
      const Tensor pooled = (shape_.pooling == Pooling::kMean ? tokens.mean(1) : tokens.select(1, 0)).contiguous();
      const float* v = pooled.const_data_ptr<float>();
      for (int64_t i = 0; i < run.sequences; ++i, ++row, v += shape_.hidden) {
        double square = 0;
        for (int64_t d = 0; d < shape_.hidden; ++d) square += static_cast<double>(v[d]) * v[d];
        const double length = std::max(std::sqrt(square), 1e-12);
        for (int64_t d = 0; d < shape_.hidden; ++d) out(row, d) = static_cast<float>(v[d] / length);
      }
    }
  }

  const TransformerShape shape_;
  const at::ScalarType type_;
  Tensor word_, position_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

Status make(const TransformerShape& shape, const TransformerWeights& weights, Precision precision,
            std::unique_ptr<Transformer>* out) {
  if (precision == Precision::kInt8 && !tile_products_available(precision))
    return bad_input("precision int8 wants a processor with AMX tiles or AVX-512 VNNI");
  if (precision == Precision::kInt8 && !tile_bert_fits(shape, precision))
    return bad_input("precision int8 wants hidden and intermediate sizes that are multiples of 64, and heads of 16");
  return guarded([&] {
    const c10::InferenceMode inference;
    if (tile_bert_fits(shape, precision))
      *out = make_tile_bert(shape, weights, precision);
    else
      *out = std::make_unique<Bert>(shape, weights, precision);
  });
}

const char* version() { return TORCH_VERSION; }

}  // namespace

extern "C" __attribute__((visibility("default")))
const TransformerModule tracer_transformer_module = {kTransformerModuleInterface, version, make};

}  // namespace tracer
