// Products of rows with packed weights on a processor's tile unit (AMX), or int8 ones by VNNI, and what follows a sum
// while it is in the first-level cache: scales, bias, activation. Compiled for AVX-512 with tiles: call nothing here
// unless tile_products_available() says so (tile_product.h).
//
// Weights lie in panels of kPanelOutputs outputs. A panel is cut into steps of 64 bytes of each output's inputs; a step
// holds two tiles of 16 outputs, each 16 lines of 64 bytes: 4 consecutive bytes of the inputs of each output.
#pragma once

#include <cstdint>

#include "kernels/cpu/tile_configuration.h"

namespace tracer::block_product {

inline constexpr int64_t kPanelOutputs = 32;
inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kBlockOfRows = 16;  // rows come in multiples of it

// Where byte `byte` of the inputs of output o lies; each output has `bytes` of them.
constexpr int64_t place(int64_t o, int64_t byte, int64_t bytes) {
  const int64_t panel = o / kPanelOutputs, column = o % kPanelOutputs, step = byte / kStepBytes;
  return panel * kPanelOutputs * bytes + step * kPanelOutputs * kStepBytes + column / 16 * 16 * kStepBytes +
         byte % kStepBytes / 4 * 64 + column % 16 * 4 + byte % 4;
}

// The same for byte `byte` of row i of the left side: tiles of 16 rows, each line 64 bytes of one.
constexpr int64_t row_place(int64_t i, int64_t byte, int64_t bytes) {
  return i / 16 * 16 * bytes + byte / kStepBytes * 16 * kStepBytes + i % 16 * kStepBytes + byte % kStepBytes;
}
inline constexpr int64_t kLineStride = 16 * kStepBytes;  // from a row's line to its next one

// What becomes of a sum plus its bias. kGelu: x times the normal distribution function, off by less than 6e-5 for
// |x| <= 6, and by less than 1e-5 |x| beyond: bfloat16 and int8, which take it, are far coarser. kGeluTanh: its tanh
// formula.
enum class Activation { kNone, kGelu, kGeluTanh, kRelu };

struct Product {
  int64_t rows = 0;         // a multiple of kBlockOfRows
  int64_t bytes = 0;        // of a row of x and of an output's weights: a multiple of kStepBytes
  int64_t outputs = 0;      // a multiple of kPanelOutputs
  const void* x = nullptr;  // as row_place says
  const void* weights = nullptr;
  const float* bias = nullptr;  // outputs
  Activation activation = Activation::kNone;
  float* y = nullptr;  // rows x outputs, `stride` apart
  int64_t stride = 0;
};

// y = f(x w + bias), or the same in bfloat16, as row_place says. Between enter_tiles and leave_tiles.
void bfloat16_to_float(const Product& p);
void bfloat16_to_bfloat16(const Product& p, uint16_t* y);

// y = f(sum row_step output_step + bias) for int8 rows and weights. By tiles, or by VNNI, which gives the same bytes;
// `shift`: -128 times the sum of each output's weights, since VNNI wants its left side without a sign.
void int8_by_tiles(const Product& p, const float* row_step, const float* output_step);
void int8_by_vnni(const Product& p, const float* row_step, const float* output_step, const int32_t* shift);

// A thread's tile registers as products want them, and as they were.
void enter_tiles(TileConfiguration& before);
void leave_tiles(const TileConfiguration& before);

}  // namespace tracer::block_product
