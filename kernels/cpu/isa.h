// What is compiled once for each instruction set: the innermost loops, behind a table of plain functions. The drivers
// (gemm.cpp, topk.cpp, ...) are compiled once, for the baseline, and call through the table that was chosen at run
// time.
//
// Packed operands. A panel holds `width` rows (or columns) of an operand, interleaved so that the inner index k is
// outermost: element (i, k) lies at k * width + i. Missing lanes of the last panel are zero. Panels of A have width mr,
// panels of B width nr. The inner index is cut in blocks of kKBlock; a block of all panels is contiguous.
#pragma once

#include <cstdint>

namespace tracer::cpu {

// Fixed: the order of the additions, hence the bytes of the result, depends on it. 384 is the width of the usual
// sentence embeddings, which then need no second pass over the output.
inline constexpr int64_t kKBlock = 384;
// Upper bounds over all instruction sets, for buffers on the stack.
inline constexpr int64_t kMaxMr = 12;
inline constexpr int64_t kMaxNr = 32;

// Screening: what a search does with 8-bit integers before it looks at float32 rows (kernels/cpu/screen.h says why that
// is exact). A tile is kScreenQueries x kScreenReferences.
inline constexpr int64_t kScreenQueries = 12;
inline constexpr int64_t kScreenReferences = 32;
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

// Of a quantised row, in float32 sums over lanes.
struct QuantisedSums {
  float error;      // of (y - step * integer)^2
  float size;       // of y^2
  int64_t squares;  // of integer^2
  int64_t sum;      // of integers
};

struct ScreenKernels {
  // One tile over `groups` groups of four dimensions. q: groups x kScreenQueries x 4. r: groups x kScreenReferences x
  // 4, each integer raised by 128; 64-byte aligned.
  //   bound(i, j) = sum over the dimensions of q(i) r(j) + slope[i] * residual[j];
  // bit j of above[i] is set unless bound(i, j) <= threshold[i]. rows <= kScreenQueries; bound and above have room for
  // kScreenQueries. Returns all bits or-ed.
  uint32_t (*tile)(int64_t rows, int64_t groups, const int8_t* q, const uint8_t* r, const float* residual,
                   const float* slope, const float* threshold, float* bound, uint32_t* above);

  // most(i, j) = max(most(i, j), (bound(i, j) - offset[i]) * step) over a whole tile.
  void (*maxima)(int64_t groups, const int8_t* q, const uint8_t* r, const float* residual, const float* slope,
                 const float* offset, float step, float* most);

  // threshold[j] = (base - error * panel.norm - norm * panel.error) in units of the two steps, + offset, rounded down.
  void (*thresholds)(int64_t count, const ScreenQueries& q, const ScreenPanel& panel, float* threshold);

  // out[k] = y[k] / step, rounded to nearest and held within [-127, 127].
  QuantisedSums (*quantise)(const float* y, int64_t n, float step, int8_t* out);

  // The products of four pairs of rows; the integers of r are raised by 128. bytes: a multiple of 64, padded with q =
  // 0.
  void (*dot_bytes)(int64_t bytes, const int8_t* const* q, const uint8_t* const* r, int32_t* product);

  // The dot product of two float32 rows by at most d / 64 + 1 fma's and 6 additions in a row.
  float (*dot)(const float* a, const float* b, int64_t d);

  // The dot products of q with 16 rows, each by the very chain of fma's of score_tile.
  void (*chain_scores)(const float* q, const float* const* rows, int64_t d, float* score);
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

  // Null where the instruction set has no products of 8-bit integers.
  const ScreenKernels* screen;
};

// Null where the compiler's target cannot have them.
const IsaKernels* portable_kernels();
const IsaKernels* avx2_kernels();
const IsaKernels* avx512_kernels();
const IsaKernels* avx512_vnni_kernels();

}  // namespace tracer::cpu
