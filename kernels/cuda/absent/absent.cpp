// What a build without the CUDA toolkit says instead.
#include "kernels/cuda/on_device.h"
#include "kernels/cuda/probe.h"

namespace tracer::cuda {

namespace {

constexpr const char* kAbsent = "this build has no CUDA kernels (no toolkit was found, or TRACER_CUDA=OFF)";

}  // namespace

Probe probe(int /*device*/) { return {false, kAbsent}; }

Status decision_features_on_device(HostMatrix<const float> /*logits*/, std::span<RowDecision> /*out*/) {
  return device_error(kAbsent);
}

Status normalise_rows_on_device(HostMatrix<float> /*x*/) { return device_error(kAbsent); }

}  // namespace tracer::cuda
