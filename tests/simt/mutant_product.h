// c = a b by one launch of the exact product's kernel; a, b and c are dense and row-major, m x k, k x n and m x n. The
// error is what the harness found in the launch.
#pragma once

#include <cstdint>

#include "kernels/cuda/context.cuh"
#include "kernels/status.h"

namespace tracer::simt {

Status launch_exact_product(cuda::Context& context, int64_t m, int64_t n, int64_t k, device::Global<const float> a,
                            device::Global<const float> b, device::Global<float> c);

}  // namespace tracer::simt
