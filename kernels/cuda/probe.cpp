#include "kernels/cuda/probe.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdio>
#include <utility>

#include "kernels/cuda/check.h"

namespace tracer::cuda {

namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// The steps in order; the text describes the device.
Result<std::string> find_device(int device) {
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    return device_error("no NVIDIA driver (libcuda.so.1 was not found)");
  }
  int driver = 0;
  int runtime = 0;
  TRACER_RETURN_IF_ERROR(check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion"));
  TRACER_RETURN_IF_ERROR(check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion"));
  if (driver == 0) return device_error("libcuda.so.1 is there, but no NVIDIA driver is loaded");
  // Within a major version any driver runs any runtime.
  if (driver / 1000 < runtime / 1000) {
    return device_error("the driver is too old: it knows CUDA " + version_text(driver) + ", this build needs " +
                        version_text(runtime / 1000 * 1000));
  }
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0)) {
    cudaGetLastError();
    return device_error("the driver knows CUDA " + version_text(driver) + " but sees no device");
  }
  TRACER_RETURN_IF_ERROR(check(counted, "cudaGetDeviceCount"));
  if (device < 0 || device >= count) {
    return device_error("there is no device " + std::to_string(device) + ", only " + std::to_string(count));
  }
  cudaDeviceProp properties;
  TRACER_RETURN_IF_ERROR(check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties"));
  char text[400];
  std::snprintf(text, sizeof text, "%s, compute capability %d.%d, %.1f GiB, driver for CUDA %s", properties.name,
                properties.major, properties.minor, static_cast<double>(properties.totalGlobalMem) / (1 << 30),
                version_text(driver).c_str());
  int pools = 0;
  TRACER_RETURN_IF_ERROR(check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, device), text));
  if (pools == 0) return device_error(std::string(text) + ": it has no memory pools");
  TRACER_RETURN_IF_ERROR(check(cudaSetDevice(device), text));
  return std::string(text);
}

}  // namespace

Probe probe(int device) {
  Result<std::string> found = find_device(device);
  if (!found.ok()) return {false, found.status().message()};
  return {true, std::move(found).value()};
}

}  // namespace tracer::cuda
