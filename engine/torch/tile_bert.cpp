#include "engine/torch/tile_bert.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/torch/guarded.h"
#include "engine/torch/row_math.h"
#include "engine/torch/tile_product.h"

namespace tracer {
namespace {

using Floats = std::vector<float>;
using block_product::Activation;

// Rows that go through a layer's products together: their activations stay in the second-level cache, and the weights
// are read often enough from there, or from the third, to keep the tiles busy.
constexpr int64_t kBlockRows = 128;

struct Norm {
  Floats scale, shift;
};

struct Layer {
  TileProduct qkv, attention_output;
  Norm attention_norm;
  TileProduct up, down;
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
        tiles_(tiles_multiply(precision)),
        activation_(shape.activation == HiddenActivation::kRelu       ? Activation::kRelu
                    : shape.activation == HiddenActivation::kGeluTanh ? Activation::kGeluTanh
                                                                      : Activation::kGelu),
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
    return guarded([&] {
      const TileSession session(tiles_);
      std::unique_ptr<Workspace> space = borrow();
      forward(batch, *space);
      pool(batch, space->x, out);
      give_back(std::move(space));
    });
  }

 private:
  // What a batch is computed in; kept, so that memory is not asked for, and cleared by the system, with each batch.
  struct Workspace {
    Workspace(const TransformerShape& shape, Precision precision)
        : narrow(precision, kBlockRows, shape.hidden),
          wide(precision, kBlockRows, shape.intermediate),
          product(static_cast<size_t>(kBlockRows * shape.hidden)) {}
    Floats x, context, qkv, scratch;  // of all rows
    TileRows narrow, wide;            // of a block: left sides of hidden and of intermediate columns
    Floats product;
  };

  std::unique_ptr<Workspace> borrow() const {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Workspace>(shape_, precision_);
    std::unique_ptr<Workspace> space = std::move(idle_.back());
    idle_.pop_back();
    return space;
  }
  void give_back(std::unique_ptr<Workspace> space) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(space));
  }

  TileProduct linear(const TransformerWeights::Linear& l) const { return {l.w, copy(l.b, l.w.rows), precision_}; }
  // The three maps as one.
  TileProduct joined(const TransformerWeights::Linear& q, const TransformerWeights::Linear& k,
                     const TransformerWeights::Linear& v) const {
    Floats w, b;
    for (const TransformerWeights::Linear* l : {&q, &k, &v}) {
      const Floats part = copy(l->w);
      w.insert(w.end(), part.begin(), part.end());
      b.insert(b.end(), l->b, l->b + l->w.rows);
    }
    const int64_t in = q.w.cols;
    return {{w.data(), static_cast<int64_t>(w.size()) / in, in}, std::move(b), precision_};
  }
  Norm norm(const TransformerWeights::Norm& n) const {
    return {copy(n.scale, shape_.hidden), copy(n.shift, shape_.hidden)};
  }

  void add_norm(const float* add, const Norm& n, float* x) const {
    row_math::add_norm(add, n.scale.data(), n.shift.data(), static_cast<float>(shape_.norm_epsilon), shape_.hidden, x);
  }

  // qkv = x of the block through a layer's first map.
  void project(const Layer& layer, Workspace& space, const float* x, int64_t rows, float* qkv) const {
    space.narrow.set(x, rows, shape_.hidden, shape_.hidden);
    layer.qkv.multiply(space.narrow, Activation::kNone, qkv, 3 * shape_.hidden);
  }

  // The rest of a layer, after attention.
  void finish(const Layer& layer, Workspace& space, const float* context, int64_t rows, float* x) const {
    const int64_t hidden = shape_.hidden;
    float* product = space.product.data();
    space.narrow.set(context, rows, hidden, hidden);
    layer.attention_output.multiply(space.narrow, Activation::kNone, product, hidden);
    for (int64_t i = 0; i < rows; ++i) add_norm(product + i * hidden, layer.attention_norm, x + i * hidden);
    space.narrow.set(x, rows, hidden, hidden);
    layer.up.multiply(space.narrow, activation_, space.wide);
    layer.down.multiply(space.wide, Activation::kNone, product, hidden);
    for (int64_t i = 0; i < rows; ++i) add_norm(product + i * hidden, layer.output_norm, x + i * hidden);
  }

  // space.x = the last layer's vectors: a row a token, then rows of no meaning up to whole tiles.
  void forward(const TokenBatch& batch, Workspace& space) const {
    const int64_t hidden = shape_.hidden, width = 3 * hidden;
    const auto tokens = static_cast<int64_t>(batch.ids.size()), rows = round_up(tokens, kTileRows);
    const auto at_least = [](Floats& floats, int64_t n) {
      if (static_cast<int64_t>(floats.size()) < n) floats.resize(static_cast<size_t>(n));
    };
    at_least(space.x, rows * hidden);
    at_least(space.context, rows * hidden);
    at_least(space.qkv, rows * width);
    float *x = space.x.data(), *context = space.context.data(), *qkv = space.qkv.data();
    int64_t longest = 0;
    for (int64_t s = 0; s < batch.sequences(); ++s) {
      longest = std::max(longest, batch.start[s + 1] - batch.start[s]);
      for (int64_t t = batch.start[s]; t < batch.start[s + 1]; ++t) {
        const float* word = word_.data() + batch.ids[static_cast<size_t>(t)] * hidden;
        std::copy_n(word, hidden, x + t * hidden);
        add_norm(position_.data() + (t - batch.start[s]) * hidden, embedding_norm_, x + t * hidden);
      }
    }
    at_least(space.scratch, row_math::attention_scratch(longest, hidden / shape_.heads));
    const auto blocks = [&](const auto& work) {
      for (int64_t i = 0; i < rows; i += kBlockRows) work(i, std::min(kBlockRows, rows - i));
    };
    if (!layers_.empty())
      blocks([&](int64_t i, int64_t n) { project(layers_[0], space, x + i * hidden, n, qkv + i * width); });
    for (size_t l = 0; l < layers_.size(); ++l) {
      for (int64_t s = 0; s < batch.sequences(); ++s)
        row_math::attend(qkv + batch.start[s] * width, batch.start[s + 1] - batch.start[s], shape_.heads,
                         hidden / shape_.heads, space.scratch.data(), context + batch.start[s] * hidden);
      blocks([&](int64_t i, int64_t n) {
        finish(layers_[l], space, context + i * hidden, n, x + i * hidden);
        if (l + 1 < layers_.size()) project(layers_[l + 1], space, x + i * hidden, n, qkv + i * width);
      });
    }
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
  const bool tiles_;
  const Activation activation_;
  Floats word_, position_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
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
