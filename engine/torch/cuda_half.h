// libtorch's CUDA half, which nothing links: it is opened from the folder of the libtorch that runs.
#pragma once

#include "kernels/status.h"

namespace tracer {

// kDevice, saying what is missing, where that folder has no libtorch_cuda.so, it cannot be loaded, or there is no
// device of that number. The library stays open. Thread-safe. Cost: a second or more the first time.
Status open_cuda_half(int device);

}  // namespace tracer
