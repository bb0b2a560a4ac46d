// What a build without the CUDA toolkit says instead.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/probe.h"

namespace tracer::cuda {

namespace {

constexpr const char* kAbsent = "this build has no CUDA kernels (no toolkit was found, or TRACER_CUDA=OFF)";

}  // namespace

Probe probe(int /*device*/) { return {false, kAbsent}; }

Result<std::unique_ptr<Backend>> make_cuda_backend(int /*device*/, std::unique_ptr<Backend> /*host*/) {
  return device_error(kAbsent);
}

}  // namespace tracer::cuda
