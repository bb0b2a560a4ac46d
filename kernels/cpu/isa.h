// What is compiled once for each instruction set: the innermost loops, behind a table of plain functions. The drivers
// (gemm.cpp, topk.cpp, ...) are compiled once, for the baseline, and call through the table that was chosen at run
// time.
//
// Packed operands. A panel holds `width` rows (or columns) of an operand, interleaved so that the inner index k is
// outermost: element (i, k) lies at k * width + i. Missing lanes of the last panel are zero. Panels of A have width mr,
// panels of B width nr. The inner index is cut in blocks of kKBlock; a block of all panels is contiguous.
#pragma once

#include <cstdint>

#include "kernels/cpu/head_kernels.h"
#include "kernels/cpu/tile_configuration.h"

namespace tracer::cpu {

// Fixed: the order of the additions, hence the bytes of the result, depends on it. 384 is the width of the usual
// sentence embeddings, which then need no second pass over the output.
inline constexpr int64_t kKBlock = 384;
// Upper bounds over all instruction sets, for buffers on the stack.
inline constexpr int64_t kMaxMr = 12;
inline constexpr int64_t kMaxNr = 32;

// Screening: what a search does with 8-bit integers before it looks at float32 rows (kernels/cpu/screen.h says why that
// is exact). A tile is `queries` x kScreenReferences.
inline constexpr int64_t kMostScreenQueries = 16;
inline constexpr int64_t kScreenReferences = 32;
inline constexpr int32_t kMostCandidates = 512;  // of a query, not looked at yet
// Covers the roundings of a threshold, each at most 2^-24 of the size of its terms; there are fewer than 8.
inline constexpr float kScreenSlack = 8 * 0x1p-24f;

// One value for each query of a task.
struct ScreenQueries {
  const float* base;          // what a bound must exceed for its reference to matter
  const float* error;         // at least the length of what quantisation took from the projected query
  const float* norm;          // at least the length of the projected query
  const float* inverse_step;  // of the quantisation
  const float* offset;        // 128 times the sum of the query's integers, less the roundings of the bound
};

// What holds for all references of a panel.
struct ScreenPanel {
  float inverse_step;
  float norm;   // at least the length of each quantised reference
  float error;  // at least the length of what quantisation took from each
};

// Queries and references by all d coordinates in 8 bits, each with a step of its own: what the first m directions leave
// open is settled by these, mostly. One value for each query of a tile; kScreenReferences of each for a panel.
struct SharpQueries {
  const float* step;
  const float* error;   // at least the length of what quantisation took from the query
  const float* length;  // at least its length
  const int32_t* sum;   // 128 times the sum of its integers
  const float* margin;
  const float* base;
};
struct SharpPanel {
  const uint8_t* bytes;
  const float* step;
  const float* norm;   // at least the length of each quantised reference
  const float* error;  // at least the length of what quantisation took from each
};

// Of a tile of queries by a panel.
struct TileBounds {
  alignas(64) float bound[kMostScreenQueries * kScreenReferences];
  uint32_t above[kMostScreenQueries];
  uint32_t any;  // all of above, or-ed
};

// Of a quantised row, in float32 sums over lanes.
struct QuantisedSums {
  float error;      // of (y - step * integer)^2
  float size;       // of y^2
  int64_t squares;  // of integer^2
  int64_t sum;      // of integers
};

struct ScreenKernels {
  int64_t queries;  // of a tile

  // Dimensions of a query that lie side by side in a tile: element (i, k) lies at
  //   k / side_by_side * queries * side_by_side + i * side_by_side + k % side_by_side.
  int64_t side_by_side;

  // Around a thread's calls of sharpen_block, for registers that want to be set up; what `before` was left to hold is
  // put back. Null where it is.
  void (*enter)(TileConfiguration& before);
  void (*leave)(const TileConfiguration& before);

  // One tile over `groups` groups of four dimensions. q: groups x queries x 4. r: groups x kScreenReferences x 4, each
  // integer raised by 128; 64-byte aligned.
  //   bound(i, j) = sum over the dimensions of q(i) r(j) + slope[i] * residual[j];
  // bit j of above[i] is set unless bound(i, j) <= threshold[i]. rows <= queries; bound and above have room for
  // queries. Returns all bits or-ed.
  uint32_t (*tile)(int64_t rows, int64_t groups, const int8_t* q, const uint8_t* r, const float* residual,
                   const float* slope, const float* threshold, float* bound, uint32_t* above);

  // threshold[j] = (base - error * panel.norm - norm * panel.error) in units of the two steps, + offset, rounded down.
  void (*thresholds)(int64_t count, const ScreenQueries& q, const ScreenPanel& panel, float* threshold);

  // out[k] = y[k] / step, rounded to nearest and held within [-127, 127].
  QuantisedSums (*quantise)(const float* y, int64_t n, float step, int8_t* out);

  // The bounds of all d coordinates for the queries of a tile named by the bits of `rows`, against a panel:
  //   bound(i, j) = (sum over the bytes of q(i) r(j) - sum[i]) step[i] r.step[j]
  //                 + error[i] r.norm[j] + length[i] r.error[j];
  // bit j of above[i] is set where bound(i, j) + margin[i] reaches base[i]. q: groups x queries x 4, by
  // side_by_side, of which 4 groups is a multiple; r: groups x kScreenReferences x 4, raised by 128. bound and above
  // have room for queries; other rows are unspecified.
  void (*sharpen)(uint32_t rows, int64_t groups, const int8_t* q, const SharpQueries& queries, const SharpPanel& r,
                  float* bound, uint32_t* above);

  // What sharpen does, for all queries of `tiles` tiles, one after the other in q, queries and out. Bounds of a query
  // without a bit in `above` are unspecified. Null unless this costs so little that no directions are screened by
  // first: then tile, thresholds and sharpen are not called.
  void (*sharpen_block)(int64_t tiles, int64_t groups, const int8_t* q, const SharpQueries& queries,
                        const SharpPanel& r, TileBounds* out);

  // Adds the candidates first + j with their bounds, for the bits j of `above`; returns the new count. The arrays have
  // room for 16 more than there will be.
  int32_t (*append)(uint32_t above, const float* bound, int32_t first, int32_t count, float* to_bound,
                    int32_t* to_index);

  // The dot product of two float32 rows by at most d / 64 + 1 fma's and 6 additions in a row.
  float (*dot)(const float* a, const float* b, int64_t d);

  // The dot products of q with `count` rows, a multiple of 16, each by the very chain of fma's of score_tile.
  void (*chain_scores)(int64_t count, const float* q, const float* const* rows, int64_t d, float* score);

  // Of `count` candidates (at most kMostCandidates; the arrays have room for 16 more), drops those whose bound + margin
  // does not reach base, then brings the most promising, about `want` of them and no more, to the end; returns their
  // number.
  int32_t (*choose)(float margin, float base, int32_t want, int32_t* count, float* bound, int32_t* index);

  // Puts (f, reference) in its place among n - 1 entries: higher similarity first, then lower index. n <= 64.
  void (*insert)(float f, int32_t reference, int32_t n, float* similarity, int32_t* index);
};

struct IsaKernels {
  const char* name;
  int64_t mr;
  int64_t nr;

  // Packs kc inner indices of `count` rows of op(A) (columns of op(B)) into panels. `interleaved` says that the inner
  // index runs along memory (A as it is, B transposed), so that packing transposes; otherwise it copies rows.
  void (*pack_a)(bool interleaved, const float* a, int64_t stride, int64_t count, int64_t kc, float* out);
  void (*pack_b)(bool interleaved, const float* b, int64_t stride, int64_t count, int64_t kc, float* out);

  // c (rows x cols) = or += A * B for packed A (rows x kc) and packed B (kc x cols).
  void (*gemm_block)(int64_t rows, int64_t cols, int64_t kc, const float* a, const float* b, float* c, int64_t ldc,
                     bool accumulate);

  // One tile of similarities, rows <= mr references x lanes <= nr queries over all d inner indices. a and b point to a
  // panel packed block after block. tile has row stride nr. Bit j of above[i] is set where tile(i, j) > threshold[j].
  void (*score_tile)(int64_t rows, int64_t lanes, int64_t d, const float* a, const float* b, const float* threshold,
                     float* tile, uint32_t* above);

  // p = softmax(z + bias); a bias of -inf gives exactly 0. z, bias: readable up to the next multiple of 16 beyond c.
  // p may be z. Returns the sum of exp(z - max), 0 when every class is removed (then p is 0).
  float (*softmax_row)(const float* z, const float* bias, int64_t c, float* p);

  // Cross-entropy of softmax(z + bias) against label, returned as -ln p(label). z becomes scale * (p - onehot(label)).
  double (*cross_entropy_row)(float* z, const float* bias, int64_t c, int64_t label, float scale);

  // -sum p ln p; p is readable up to the next multiple of 16 beyond c.
  float (*entropy_row)(const float* p, int64_t c);

  // Adds bias to each row of c.
  void (*add_bias)(float* c, int64_t ldc, int64_t rows, int64_t cols, const float* bias);

  // For tests: the exponential and the logarithm that the rows above use.
  void (*exp_array)(const float* x, int64_t n, float* y);
  void (*log_array)(const float* x, int64_t n, float* y);

  // y = x * Phi(x), and the slope of that; see Activation::kGelu.
  void (*gelu)(const float* x, int64_t n, float* y);
  void (*gelu_slope)(const float* x, int64_t n, float* y);

  const HeadKernels* head;

  // out = sum over `count` entries of weight[e] * row index[e] of b, for `cols` columns; out must not overlap b.
  void (*weighted_rows)(int64_t count, const int32_t* index, const float* weight, const float* b, int64_t stride,
                        int64_t cols, float* out);

  // Null where the instruction set has no products of 8-bit integers.
  const ScreenKernels* screen;
};

// Null where the compiler's target cannot have them.
const IsaKernels* portable_kernels();
const IsaKernels* avx2_kernels();
const IsaKernels* avx512_kernels();
const IsaKernels* avx512_amx_kernels();
const IsaKernels* avx512_vnni_kernels();
// The loops of avx512_vnni under the name of the processors that also have products of bfloat16: outputs and TRACER_ISA
// name the instruction set so.
const IsaKernels* avx512_bf16_kernels();

}  // namespace tracer::cpu
