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

namespace tracer::cpu {

// Fixed: the order of the additions, hence the bytes of the result, depends on it. 384 is the width of the usual
// sentence embeddings, which then need no second pass over the output.
inline constexpr int64_t kKBlock = 384;
// Upper bounds over all instruction sets, for buffers on the stack.
inline constexpr int64_t kMaxMr = 12;
inline constexpr int64_t kMaxNr = 32;

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

  const HeadKernels* head;
};

// Null where the compiler's target cannot have them.
const IsaKernels* portable_kernels();
const IsaKernels* avx2_kernels();
const IsaKernels* avx512_kernels();
const IsaKernels* avx512_bf16_kernels();

}  // namespace tracer::cpu
