#include "tests/simt/simt_backend.h"

#include "tests/simt/device.h"
#include "tests/simt/runtime.h"
// After the vocabulary, the operations as nvcc compiles them:
#include "kernels/cuda/decide.cu"
#include "kernels/cuda/device_backend.cuh"
#include "kernels/cuda/group.cu"
#include "kernels/cuda/layers.cu"
#include "kernels/cuda/product.cu"
#include "kernels/cuda/rows.cu"
#include "kernels/cuda/search.cu"
#include "kernels/cuda/sparse.cu"
#include "kernels/cuda/train.cu"

namespace tracer::simt {

std::unique_ptr<Backend> make_backend(const BackendTuning& t) {
  cuda::Tuning tuning;
  tuning.rows = t.rows;
  tuning.queries = t.queries;
  tuning.references = t.references;
  tuning.head_shared_bytes = t.head_shared_bytes;
  tuning.screening = t.screen ? cuda::Screening::kAlways : cuda::Screening::kNever;
  BackendOptions options;
  options.device = "cpu";
  options.threads = 2;
  Result<std::unique_ptr<Backend>> host = tracer::make_backend(options);
  Result<std::unique_ptr<cuda::Context>> context = cuda::Context::create(tuning, host->get());
  return std::make_unique<cuda::DeviceBackend>("simt", "fibers", std::move(*context), std::move(*host));
}

void set_launch_order(uint32_t order) { launch_order() = order; }
void set_memory(int64_t bytes) { memory_left() = bytes; }

}  // namespace tracer::simt
