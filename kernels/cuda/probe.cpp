#include "kernels/cuda/probe.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/on_device.h"
#include "kernels/matrix.h"

namespace tracer::cuda {

namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Also false for NaN.
bool near(float value, double expected) { return std::abs(value - expected) <= 1e-5; }

Status wrong(const std::string& what) { return device_error("self-test failed: " + what); }

Status test_decisions() {
  constexpr int64_t kClasses = 33;    // one more than a warp is wide
  Matrix<float> logits(3, kClasses);  // row 0: all equal
  std::fill_n(logits.row(1), kClasses, -std::numeric_limits<float>::infinity());
  logits(1, 4) = std::log(1.0f);
  logits(1, 32) = std::log(3.0f);  // row 1: two classes, 1/4 and 3/4
  std::fill_n(logits.row(2), kClasses, -200.0f);
  logits(2, 7) = logits(2, 31) = 100.0f;  // row 2: a tie, to the lower class
  std::vector<RowDecision> out(3);
  TRACER_RETURN_IF_ERROR(decision_features_on_device(logits.view(), out));
  const double quarter_entropy = (2.0 * std::log(2.0) - 0.75 * std::log(3.0)) / std::log(33.0);
  const bool ok = out[0].label == 0 && near(out[0].top1, 1.0 / 33) && near(out[0].top2, 1.0 / 33) &&
                  near(out[0].entropy, 1.0) && out[1].label == 32 && near(out[1].top1, 0.75) &&
                  near(out[1].top2, 0.25) && near(out[1].entropy, quarter_entropy) && out[2].label == 7 &&
                  near(out[2].top1, 0.5) && near(out[2].top2, 0.5) &&
                  near(out[2].entropy, std::log(2.0) / std::log(33.0));
  return ok ? Status() : wrong("decision features differ from the known answers");
}

Status test_normalise() {
  Matrix<float> x(2, 200);  // row 1 stays 0
  x(0, 0) = 3.0f;
  x(0, 199) = 4.0f;
  TRACER_RETURN_IF_ERROR(normalise_rows_on_device(x.view()));
  for (int64_t c = 0; c < x.cols(); ++c) {
    const double expected = c == 0 ? 0.6 : c == 199 ? 0.8 : 0.0;
    if (!near(x(0, c), expected) || x(1, c) != 0.0f) return wrong("normalised rows differ from the known answers");
  }
  return {};
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
  const Result<std::string> found = find_device(device);
  if (!found.ok()) return {false, found.status().message()};
  for (const auto& test : {test_decisions, test_normalise}) {
    const Status status = test();  // code for another architecture shows here, as "no kernel image"
    if (!status.ok()) return {false, *found + ": " + status.message()};
  }
  return {true, *found};
}

}  // namespace tracer::cuda
