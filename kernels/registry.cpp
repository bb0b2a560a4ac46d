// Which backends there are and which one runs.
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa_select.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/probe.h"
#include "kernels/device_name.h"
#include "kernels/self_test.h"

namespace tracer {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A CUDA backend that has given the known answers, or why there is none.
Result<std::unique_ptr<Backend>> trusted_cuda(int device, int threads) {
  const cuda::Probe probe = cuda::probe(device);
  if (!probe.usable) return device_error(probe.detail);
  Result<std::unique_ptr<Backend>> host = cpu::make_cpu_backend(threads, environment("TRACER_ISA"));
  if (!host.ok()) return host.status();
  Result<std::unique_ptr<Backend>> made = cuda::make_cuda_backend(device, std::move(host).value());
  // Code for another architecture shows here, as "no kernel image".
  const Status status = made.ok() ? self_test(**made) : made.status();
  if (!status.ok()) return device_error(probe.detail + ": " + status.message());
  return made;
}

// The verdict on a device, asked once a process: it costs a context and the self-test.
const BackendInfo& cuda_verdict() {
  static const BackendInfo verdict = [] {
    const Result<std::unique_ptr<Backend>> made = trusted_cuda(0, 1);
    if (!made.ok()) return BackendInfo{"cuda", false, made.status().message()};
    return BackendInfo{"cuda", true, cuda::probe(0).detail + ", " + std::string((*made)->isa())};
  }();
  return verdict;
}

}  // namespace

std::vector<BackendInfo> list_backends() {
  std::string isas;
  for (const cpu::IsaKernels* isa : cpu::available_isas()) isas += (isas.empty() ? "" : ", ") + std::string(isa->name);
  return {cuda_verdict(), {"cpu", true, isas}};
}

Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options) {
  const std::string device = chosen_device(options.device);
  const bool named = !options.device.empty() && options.device != "auto";
  const std::string from = named ? "device" : "TRACER_DEVICE";
  if (options.threads < 0) return bad_input("threads must be 0 (all) or more, not " + std::to_string(options.threads));
  if (const std::optional<int> number = cuda_device(device)) {
    Result<std::unique_ptr<Backend>> made = trusted_cuda(*number, options.threads);
    if (made.ok()) return made;
    return device_error(from + " '" + device + "' cannot be used: " + made.status().message());
  }
  if (device != "auto" && device != "cpu") {
    return device_error(from + " '" + device + "' is unknown; use auto, cpu, cuda or cuda:N");
  }
  // An instruction set is a wish for the CPU.
  if (device == "auto" && options.isa.empty() && environment("TRACER_ISA").empty()) {
    Result<std::unique_ptr<Backend>> made = trusted_cuda(0, options.threads);
    if (made.ok()) return made;
  }
  return cpu::make_cpu_backend(options.threads, options.isa.empty() ? environment("TRACER_ISA") : options.isa);
}

}  // namespace tracer
