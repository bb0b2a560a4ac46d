// A CUDA runtime error as a Status.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "kernels/status.h"

namespace tracer::cuda {

// Clears the runtime's pending error, so that the next call does not report this one again.
inline Status check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return {};
  cudaGetLastError();
  return device_error(std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

// To follow every launch.
inline Status check_launch(const char* kernel) { return check(cudaGetLastError(), kernel); }

}  // namespace tracer::cuda
