#include <limits>

#include "kernels/cuda/context.cuh"
#include "kernels/cuda/exact_gemm.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

// A product over no inner index: zeros.
TRACER_KERNEL fill_zero_kernel(int64_t count, bool accumulate, device::Global<float> c) {
  const int64_t i = device::block_index() * device::block_size() + device::thread_index();
  if (i < count && !accumulate) c[i] = 0.0f;
}

template <class T>
Status exact_product(Context& c, Trans ta, Trans tb, int64_t m, int64_t n, int64_t k, device::Global<const T> a,
                     device::Global<const T> b, bool accumulate, device::Global<float> out) {
  const int64_t lda = ta == Trans::kNo ? k : m, ldb = tb == Trans::kNo ? n : k;
  if (device::Multiplier::kExact) {
    return c.products.multiply(ta, tb, m, n, k, a, lda, b, ldb, accumulate, out, n, c.compute);
  }
  if (m == 0 || n == 0) return {};
  if (k > std::numeric_limits<int32_t>::max()) return internal_error("exact_product: an inner dimension beyond 2^31");
  if (k == 0)
    return device::launch("fill_zero_kernel", fill_zero_kernel, {blocks_of(m * n, kGemmThreads), kGemmThreads},
                          c.compute, m * n, accumulate, out);
  GemmShape shape;  // assigned, not initialised: nvcc 13.0 does not survive Layouts chosen by ?: in an initialiser
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.a.outer = ta == Trans::kNo ? lda : 1;
  shape.a.inner = ta == Trans::kNo ? 1 : lda;
  shape.b.outer = tb == Trans::kNo ? 1 : ldb;
  shape.b.inner = tb == Trans::kNo ? ldb : 1;
  shape.a.vectors = lda % 4 == 0;
  shape.b.vectors = ldb % 4 == 0;
  shape.ldc = n;
  shape.accumulate = accumulate;
  // The large tile where it still gives every multiprocessor some.
  if (blocks_of(m, 128) * blocks_of(n, 128) >= 128) {
    return device::launch("exact_gemm_kernel", exact_gemm_kernel<8, T>,
                          {blocks_of(m, 128) * blocks_of(n, 128), kGemmThreads}, c.compute, shape, a, b, out);
  }
  return device::launch("exact_gemm_kernel", exact_gemm_kernel<4, T>,
                        {blocks_of(m, 64) * blocks_of(n, 64), kGemmThreads}, c.compute, shape, a, b, out);
}

template Status exact_product(Context&, Trans, Trans, int64_t, int64_t, int64_t, device::Global<const float>,
                              device::Global<const float>, bool, device::Global<float>);
template Status exact_product(Context&, Trans, Trans, int64_t, int64_t, int64_t, device::Global<const BFloat16>,
                              device::Global<const BFloat16>, bool, device::Global<float>);

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
