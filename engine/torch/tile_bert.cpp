#include "engine/torch/tile_bert.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/torch/guarded.h"
#include "engine/torch/row_math.h"
#include "engine/torch/tile_product.h"

namespace tracer {
namespace {

using Floats = std::vector<float>;

// Rows that go through a layer's products together: their activations stay in the second-level cache, and the weights
// are read often enough from there, or from the third, to keep the tiles busy.
constexpr int64_t kBlockRows = 128;

struct Linear {
  TileProduct product;
  Floats bias;
};

struct Norm {
  Floats scale, shift;
};

struct Layer {
  Linear qkv, attention_output;
  Norm attention_norm;
  Linear up, down;
  Norm output_norm;
};

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

Floats copy(const float* v, int64_t n) { return {v, v + n}; }
Floats copy(HostMatrix<const float> m) {
  Floats out;
  for (int64_t i = 0; i < m.rows; ++i) out.insert(out.end(), m.row(i), m.row(i) + m.cols);
  return out;
}

class TileBert : public Transformer {
 public:
  TileBert(const TransformerShape& shape, const TransformerWeights& weights, Precision precision)
      : shape_(shape),
        precision_(precision),
        activate_(shape.activation == HiddenActivation::kRelu       ? row_math::bias_relu
                  : shape.activation == HiddenActivation::kGeluTanh ? row_math::bias_gelu_tanh
                                                                    : row_math::bias_gelu),
        word_(copy(weights.word)),
        position_(copy(weights.position)),
        embedding_norm_(norm(weights.embedding_norm)) {
    // Every token is of type 0, whose vector is added once and for all.
    for (size_t i = 0; i < position_.size(); ++i) position_[i] += weights.type[i % static_cast<size_t>(shape.hidden)];
    for (const TransformerWeights::Layer& l : weights.layers)
      layers_.push_back({joined(l.query, l.key, l.value), linear(l.attention_output), norm(l.attention_norm),
                         linear(l.up), linear(l.down), norm(l.output_norm)});
  }

  bool rows_stand_alone() const override { return true; }
  Status encode(const TokenBatch& batch, HostMatrix<float> out) const override {
    const Status status = guarded([&] { pool(batch, forward(batch), out); });
    release_tiles();
    return status;
  }

 private:
  // Buffers of a block.
  struct Block {
    TileRows narrow, wide;      // left sides of hidden and of intermediate columns
    std::vector<int32_t> sums;  // scratch of the products
    Floats product, intermediate;
  };

  Linear linear(const TransformerWeights::Linear& l) const {
    return {TileProduct(l.w, precision_), copy(l.b, l.w.rows)};
  }
  // The three maps as one.
  Linear joined(const TransformerWeights::Linear& q, const TransformerWeights::Linear& k,
                const TransformerWeights::Linear& v) const {
    Floats w, b;
    for (const TransformerWeights::Linear* l : {&q, &k, &v}) {
      const Floats part = copy(l->w);
      w.insert(w.end(), part.begin(), part.end());
      b.insert(b.end(), l->b, l->b + l->w.rows);
    }
    const int64_t in = q.w.cols;
    return {TileProduct({w.data(), static_cast<int64_t>(w.size()) / in, in}, precision_), std::move(b)};
  }
  Norm norm(const TransformerWeights::Norm& n) const {
    return {copy(n.scale, shape_.hidden), copy(n.shift, shape_.hidden)};
  }

  void add_norm(const float* add, const float* bias, const Norm& n, float* x) const {
    row_math::add_norm(add, bias, n.scale.data(), n.shift.data(), static_cast<float>(shape_.norm_epsilon),
                       shape_.hidden, x);
  }

  // qkv = x of the block through a layer's first map.
  void project(const Layer& layer, Block& block, const float* x, int64_t rows, float* qkv) const {
    block.narrow.set(x, rows, shape_.hidden, shape_.hidden);
    const int64_t width = 3 * shape_.hidden;
    layer.qkv.product.multiply(block.narrow, block.sums.data(), qkv, width);
    for (int64_t i = 0; i < rows; ++i) row_math::add_bias(layer.qkv.bias.data(), width, qkv + i * width);
  }

  // The rest of a layer, after attention.
  void finish(const Layer& layer, Block& block, const float* context, int64_t rows, float* x) const {
    const int64_t hidden = shape_.hidden, wide = shape_.intermediate;
    float* product = block.product.data();
    block.narrow.set(context, rows, hidden, hidden);
    layer.attention_output.product.multiply(block.narrow, block.sums.data(), product, hidden);
    for (int64_t i = 0; i < rows; ++i)
      add_norm(product + i * hidden, layer.attention_output.bias.data(), layer.attention_norm, x + i * hidden);
    block.narrow.set(x, rows, hidden, hidden);
    float* middle = block.intermediate.data();
    layer.up.product.multiply(block.narrow, block.sums.data(), middle, wide);
    for (int64_t i = 0; i < rows; ++i) activate_(layer.up.bias.data(), wide, middle + i * wide);
    block.wide.set(middle, rows, wide, wide);
    layer.down.product.multiply(block.wide, block.sums.data(), product, hidden);
    for (int64_t i = 0; i < rows; ++i)
      add_norm(product + i * hidden, layer.down.bias.data(), layer.output_norm, x + i * hidden);
  }

  // The last layer's vectors: a row a token, then rows of no meaning up to whole tiles.
  Floats forward(const TokenBatch& batch) const {
    const int64_t hidden = shape_.hidden, width = 3 * hidden;
    const auto tokens = static_cast<int64_t>(batch.ids.size()), rows = round_up(tokens, kTileRows);
    Floats x(static_cast<size_t>(rows * hidden)), context(x.size()), qkv(static_cast<size_t>(rows * width));
    int64_t longest = 0;
    for (int64_t s = 0; s < batch.sequences(); ++s) {
      longest = std::max(longest, batch.start[s + 1] - batch.start[s]);
      for (int64_t t = batch.start[s]; t < batch.start[s + 1]; ++t) {
        const float* word = word_.data() + batch.ids[static_cast<size_t>(t)] * hidden;
        std::copy_n(word, hidden, x.data() + t * hidden);
        add_norm(position_.data() + (t - batch.start[s]) * hidden, nullptr, embedding_norm_, x.data() + t * hidden);
      }
    }
    Floats scratch(static_cast<size_t>(row_math::attention_scratch(longest, hidden / shape_.heads)));
    Block block{TileRows(precision_, kBlockRows, hidden), TileRows(precision_, kBlockRows, shape_.intermediate),
                std::vector<int32_t>(kBlockRows * kTileOutputs), Floats(static_cast<size_t>(kBlockRows * hidden)),
                Floats(static_cast<size_t>(kBlockRows * shape_.intermediate))};
    const auto blocks = [&](const auto& work) {
      for (int64_t i = 0; i < rows; i += kBlockRows) work(i, std::min(kBlockRows, rows - i));
    };
    if (!layers_.empty())
      blocks(
          [&](int64_t i, int64_t n) { project(layers_[0], block, x.data() + i * hidden, n, qkv.data() + i * width); });
    for (size_t l = 0; l < layers_.size(); ++l) {
      for (int64_t s = 0; s < batch.sequences(); ++s)
        row_math::attend(qkv.data() + batch.start[s] * width, batch.start[s + 1] - batch.start[s], shape_.heads,
                         hidden / shape_.heads, scratch.data(), context.data() + batch.start[s] * hidden);
      blocks([&](int64_t i, int64_t n) {
        finish(layers_[l], block, context.data() + i * hidden, n, x.data() + i * hidden);
        if (l + 1 < layers_.size()) project(layers_[l + 1], block, x.data() + i * hidden, n, qkv.data() + i * width);
      });
    }
    return x;
  }

  void pool(const TokenBatch& batch, const Floats& x, HostMatrix<float> out) const {
    const int64_t hidden = shape_.hidden;
    std::vector<double> sum(static_cast<size_t>(hidden));
    for (int64_t s = 0; s < batch.sequences(); ++s) {
      const int64_t end = shape_.pooling == Pooling::kMean ? batch.start[s + 1] : batch.start[s] + 1;
      std::fill(sum.begin(), sum.end(), 0);
      for (int64_t t = batch.start[s]; t < end; ++t)
        for (int64_t d = 0; d < hidden; ++d) sum[static_cast<size_t>(d)] += x[static_cast<size_t>(t * hidden + d)];
      double square = 0;
      for (const double v : sum) square += v * v;
      const double length = std::max(std::sqrt(square), 1e-12);
      for (int64_t d = 0; d < hidden; ++d) out(s, d) = static_cast<float>(sum[static_cast<size_t>(d)] / length);
    }
  }

  const TransformerShape shape_;
  const Precision precision_;
  void (*const activate_)(const float* bias, int64_t n, float* x);
  Floats word_, position_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace

bool tile_bert_fits(const TransformerShape& s, Precision precision) {
  return precision != Precision::kFloat32 && s.hidden % kTileOutputs == 0 && s.intermediate % kTileOutputs == 0 &&
         s.hidden / s.heads % 16 == 0 && tile_products_available(precision);
}

std::unique_ptr<Transformer> make_tile_bert(const TransformerShape& shape, const TransformerWeights& weights,
                                            Precision precision) {
  return std::make_unique<TileBert>(shape, weights, precision);
}

}  // namespace tracer
