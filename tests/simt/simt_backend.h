// The CUDA backend's own source as a backend on the CPU: kernels run as watched fibers, cuBLAS is the CPU's product.
// What the harness finds in a kernel is the operation's error.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace tracer::simt {

struct BackendTuning {
  int64_t rows = 64;  // small, so that few rows make several batches
  int64_t queries = 48;
  int64_t references = 100;
  int64_t head_shared_bytes = 96 << 10;
  bool screen = true;
};

std::unique_ptr<Backend> make_backend(const BackendTuning& tuning = {});

// For what the backend's launches do from now on: see simt.h.
void set_launch_order(uint32_t order);
// How many bytes one array may have.
void set_memory(int64_t bytes);

}  // namespace tracer::simt
