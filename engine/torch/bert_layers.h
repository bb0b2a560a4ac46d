// The layers of a BERT-style encoder as libtorch's tensors, on any of its devices.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/index_select.h>

#include <vector>

#include "engine/text/transformer.h"

namespace tracer {

// The place of each token of the batch in its sequence.
void write_places(const TokenBatch& batch, int32_t* place);

class BertLayers {
 public:
  // Copies the weights to the device, as numbers of `type`.
  BertLayers(const TransformerShape& shape, const TransformerWeights& weights, at::ScalarType type, at::Device device);

  // Ids and places (in its sequence) of each token, on the device. attention: tokens x 3 hidden (attention.h) ->
  // tokens x hidden. Result: tokens x hidden, of the last layer.
  template <class Attention>
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& places, const Attention& attention) const {
    at::Tensor x = normalised(word_.index_select(0, ids).add_(position_.index_select(0, places)), embedding_norm_);
    for (const Layer& layer : layers_) {
      x = normalised(layer.attention_output(attention(layer.qkv(x))).add_(x), layer.attention_norm);
      x = normalised(layer.down(activated(layer.up(x))).add_(x), layer.output_norm);
    }
    return x;
  }

  const TransformerShape& shape() const { return shape_; }

 private:
  struct Linear {
    at::Tensor w, b;
    at::Tensor operator()(const at::Tensor& x) const;
  };
  struct Norm {
    at::Tensor scale, shift;
  };
  struct Layer {
    Linear qkv, attention_output;
    Norm attention_norm;
    Linear up, down;
    Norm output_norm;
  };

  at::Tensor matrix(HostMatrix<const float> m) const;
  at::Tensor vector(const float* v, int64_t size) const;
  Linear linear(const TransformerWeights::Linear& l) const;
  Norm norm(const TransformerWeights::Norm& n) const;
  at::Tensor normalised(const at::Tensor& x, const Norm& n) const;
  at::Tensor activated(const at::Tensor& x) const;

  const TransformerShape shape_;
  const at::TensorOptions options_;  // of the weights
  at::Tensor word_, position_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace tracer
