// Products of many rows with one weight matrix in bfloat16 or int8: on a processor's tile unit (AMX) through oneDNN's
// block kernels as libtorch exposes them; int8 without one by VNNI, to the same bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/text/transformer.h"

namespace tracer {

// bfloat16: whether this processor and libtorch have tiles for it. int8: whether it has tiles or VNNI. Both want
// AVX-512 for what lies between products. oneDNN's ONEDNN_MAX_CPU_ISA takes the tiles away.
bool tile_products_available(Precision precision);

// A multiple of it is what rows, and a weight matrix's outputs, come in.
inline constexpr int64_t kTileRows = 16;
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
};

// The right side: weights out x in, packed once. int8: each output, rotated, in steps of its own.
class TileProduct {
 public:
  // Requires: out a multiple of kTileOutputs, in of 64.
  TileProduct(HostMatrix<const float> w, Precision precision);

  int64_t outputs() const { return out_; }
  // y: rows of x by outputs, `stride` apart. Scratch: rows x kTileOutputs numbers.
  void multiply(const TileRows& x, int32_t* scratch, float* y, int64_t stride) const;

 private:
  int64_t out_, in_;
  Precision precision_;
  std::vector<uint16_t> half_;
  std::vector<int8_t> quarter_;
  std::vector<float> step_;
  std::vector<int32_t> shift_;  // what row_math::multiply_int8 wants; empty where tiles multiply
};

// Gives the tiles of this thread back; after the last product of a batch.
void release_tiles();

}  // namespace tracer
