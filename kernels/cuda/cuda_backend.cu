#include <string>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device_backend.cuh"

namespace tracer::cuda {

Result<std::unique_ptr<Backend>> make_cuda_backend(int device, std::unique_ptr<Backend> host) {
  TRACER_RETURN_IF_ERROR(check(cudaSetDevice(device), "cudaSetDevice"));
  int major = 0, minor = 0;
  TRACER_RETURN_IF_ERROR(
      check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute"));
  TRACER_RETURN_IF_ERROR(
      check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute"));
  TRACER_RETURN_IF_ERROR(keep_freed_memory(device));
  Result<std::unique_ptr<Context>> context = Context::create({}, host.get());
  if (!context.ok()) return context.status();
  const std::string isa =
      "sm_" + std::to_string(major) + std::to_string(minor) + ((*context)->products.available() ? "+cublas" : "");
  const std::string name = device == 0 ? "cuda" : "cuda:" + std::to_string(device);
  return std::unique_ptr<Backend>(std::make_unique<DeviceBackend>(name, isa, std::move(*context), std::move(host)));
}

}  // namespace tracer::cuda
