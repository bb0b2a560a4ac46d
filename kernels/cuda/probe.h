// Is there a CUDA device here? Whether it computes what it should is asked by kernels/self_test.h.
#pragma once

#include <string>

namespace tracer::cuda {

struct Probe {
  bool usable = false;
  // Usable: the device's name, compute capability, memory and driver. Otherwise exactly what is missing.
  std::string detail;
};

// Looks for the driver, then the device. Makes `device` the thread's current one when it is usable.
// Cost: under a millisecond without a driver; with one the first call creates the device's context (about 0.3 s).
Probe probe(int device = 0);

}  // namespace tracer::cuda
