// The backend of an NVIDIA GPU.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace tracer::cuda {

// Everything of kernels/backend.h on device number `device`, which must be usable (probe.h); host runs parallel_for.
// Operations take and return host memory: batches are streamed through page-locked buffers, two in flight, so a batch
// may be larger than the device's memory; References and LinearHead stay on the device. Searches, decisions and
// k-means use products with the CPU's bytes; gemm, gemm_backward and wide_softmax use cuBLAS where it is there, whose
// bytes depend on the shapes too (the same call gives the same bytes). Out of device memory is ErrorCode::kDevice, and
// the backend stays usable. Without the toolkit: ErrorCode::kDevice.
Result<std::unique_ptr<Backend>> make_cuda_backend(int device, std::unique_ptr<Backend> host);

}  // namespace tracer::cuda
