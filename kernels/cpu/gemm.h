// General matrix product on packed operands.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/layers.h"

namespace tracer::cpu {

// Floats that a packed op(B) of k x n takes. Block `kb` of the inner index starts at kb * kKBlock * padded columns.
int64_t packed_b_size(const IsaKernels& isa, int64_t k, int64_t n);

// Packs op(B), k x n.
void pack_b(const Context& context, Trans tb, HostMatrix<const float> b, int64_t k, int64_t n, float* out);

// Copies one row of op(B) (row k of K in all, n columns) to its place in a packed B. `row` is readable up to the next
// multiple of nr beyond n.
void place_b_row(const IsaKernels& isa, const float* row, int64_t k, int64_t inner, int64_t n, float* packed);

// Packs `count` rows of op(A) from row `first` on, all inner indices; takes round_up(count, mr) * k floats.
void pack_a_rows(const IsaKernels& isa, Trans ta, HostMatrix<const float> a, int64_t first, int64_t count, int64_t k,
                 float* out);

// c (count x n) = packed A (count x k) * packed B (k x n). Runs on the calling thread. Where `used` is not null,
// columns of panel p are computed only if used[p] is not 0, else left as they are.
void multiply_packed(const IsaKernels& isa, int64_t count, int64_t n, int64_t k, const float* packed_a,
                     const float* packed_b, const uint8_t* used, float* c, int64_t ldc);

// c = op(a) * packed B, in parallel. Where `used` is not null, used[kb * panels + p] == 0 says that block kb of panel p
// is zero: it is neither read nor multiplied.
void gemm_packed(const Context& context, Trans ta, HostMatrix<const float> a, int64_t k, const float* packed_b,
                 const uint8_t* used, const OutputStage& stage, HostMatrix<float> c);

// The contracts of Backend::gemm and gemm_backward.
Status gemm(const Context& context, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
            const Epilogue& epilogue, HostMatrix<float> c);
Status gemm(const Context& context, Trans ta, Trans tb, HostMatrix<const BFloat16> a, HostMatrix<const BFloat16> b,
            const Epilogue& epilogue, HostMatrix<float> c);
Status gemm_backward(const Context& context, Trans ta, Trans tb, HostMatrix<const float> a, HostMatrix<const float> b,
                     Activation activation, HostMatrix<const float> pre, HostMatrix<float> c);

}  // namespace tracer::cpu
