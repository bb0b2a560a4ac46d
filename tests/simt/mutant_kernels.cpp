// The mutated half of a mutant's program: the CUDA backend's source that one part of mutant_test.cpp calls. mutants.py
// compiles this file once for each mutant, with the mutant's folder before the tree on the include path, so the file
// includes no more than the kernels need. mutant_test.cpp, which includes nothing mutated, is compiled once for each
// part.
#include "tests/simt/device.h"
#include "tests/simt/runtime.h"
// After the vocabulary:
#include "kernels/cuda/product.cu"
#if defined(MUTANT_PRODUCT)
#include "tests/simt/mutant_product.h"
#elif defined(MUTANT_ROWS)
#include "kernels/cuda/rows.cu"
#include "kernels/cuda/sparse.cu"
#elif defined(MUTANT_LAYERS)
#include "kernels/cuda/layers.cu"
#elif defined(MUTANT_SEARCH)
#include "kernels/cuda/search.cu"
#include "tests/simt/mutant_rounding.h"
#elif defined(MUTANT_DECIDE)
#include "kernels/cuda/decide.cu"
#elif defined(MUTANT_WIDE)
#include "kernels/cuda/layers.cu"
#include "kernels/cuda/train.cu"
#elif defined(MUTANT_GROUPS)
#include "kernels/cuda/group.cu"
#else
#error "one of MUTANT_PRODUCT, MUTANT_ROWS, ... says which part is compiled"
#endif

#if defined(MUTANT_PRODUCT)
namespace tracer::simt {

// The backend leaves products to the CPU under the harness (device::Multiplier), and would not launch this kernel.
Status launch_exact_product(cuda::Context& context, int64_t m, int64_t n, int64_t k, device::Global<const float> a,
                            device::Global<const float> b, device::Global<float> c) {
  const cuda::GemmShape shape{m, n, k, {k, 1, k % 4 == 0}, {1, n, n % 4 == 0}, n, false};
  const int64_t blocks = (m + 63) / 64 * ((n + 63) / 64);
  return device::launch("exact_gemm_kernel", cuda::exact_gemm_kernel<4, float>, {blocks, cuda::kGemmThreads},
                        context.compute, shape, a, b, c);
}

}  // namespace tracer::simt
#endif

#if defined(MUTANT_SEARCH)
namespace tracer::simt {

BFloat16 device_rounding(float x) { return cuda::round_to_bfloat16(x); }

}  // namespace tracer::simt
#endif
