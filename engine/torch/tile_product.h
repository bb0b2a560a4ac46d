// Products of many rows with one weight matrix in bfloat16 or int8: on a processor's tile unit (AMX); int8 without one
// by VNNI, to the same bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/text/transformer.h"
#include "engine/torch/block_product.h"

namespace tracer {

// bfloat16: whether this processor has tiles for it. int8: whether it has tiles or VNNI. Both want AVX-512 for what
// lies between products. TRACER_ISA takes the tiles away where it names another instruction set than avx512_amx.
bool tile_products_available(Precision precision);

// Whether tiles do it, of those that are available.
bool tiles_multiply(Precision precision);

// A multiple of it is what rows, and a weight matrix's outputs, come in.
inline constexpr int64_t kTileRows = block_product::kBlockOfRows;
inline constexpr int64_t kTileOutputs = 64;

// The left side: rows in the precision of the product.
class TileRows {
 public:
  TileRows(Precision precision, int64_t most_rows, int64_t most_cols);
  // Takes over `rows` rows of `cols` numbers, `stride` apart.
  void set(const float* x, int64_t rows, int64_t cols, int64_t stride);

 private:
  friend class TileProduct;
  Precision precision_;
  int64_t rows_ = 0, cols_ = 0;
  std::vector<uint16_t> half_;   // bfloat16
  std::vector<int8_t> quarter_;  // int8: each row, rotated, in steps of its own: it does not depend on its neighbours
  std::vector<float> step_, rotated_;
  std::vector<float> whole_;  // int8: a product's results, before they are rounded
};

// The right side: weights out x in, packed once, and a bias. int8: each output, rotated, in steps of its own.
class TileProduct {
 public:
  // Requires: out a multiple of kTileOutputs, in of 64. bias: out numbers.
  TileProduct(HostMatrix<const float> w, std::vector<float> bias, Precision precision);

  // y = f(x w + bias), rows of x by outputs, `stride` apart; or as the left side of the next product.
  void multiply(const TileRows& x, block_product::Activation activation, float* y, int64_t stride) const;
  void multiply(const TileRows& x, block_product::Activation activation, TileRows& y) const;

 private:
  block_product::Product product(const TileRows& x, block_product::Activation activation) const;

  int64_t out_, in_;
  Precision precision_;
  std::vector<uint8_t> packed_;
  std::vector<float> bias_, step_;
  std::vector<int32_t> shift_;  // what VNNI wants; empty where tiles multiply
};

// This thread's tile registers, where products want them; put back at the end.
class TileSession {
 public:
  explicit TileSession(bool tiles);  // whether tiles_multiply(): asked once, not for each batch
  ~TileSession();
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  const bool tiles_;
  TileConfiguration before_;
};

}  // namespace tracer
