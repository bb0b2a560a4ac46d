// Which backends there are and which one runs.
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa_select.h"
#include "kernels/cuda/probe.h"

namespace tracer {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string cuda_detail(int device) {
  cuda::Probe probe = cuda::probe(device);
  if (!probe.usable) return std::move(probe.detail);
  return probe.detail + "; this version computes on the CPU: the full CUDA backend does not exist yet";
}

// The N of "cuda:N", 0 for "cuda"; nothing for any other name.
std::optional<int> cuda_device(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = device.substr(5);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

std::vector<BackendInfo> list_backends() {
  std::string isas;
  for (const cpu::IsaKernels* isa : cpu::available_isas()) isas += (isas.empty() ? "" : ", ") + std::string(isa->name);
  return {{"cuda", false, cuda_detail(0)}, {"cpu", true, isas}};
}

Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options) {
  std::string device = options.device.empty() ? "auto" : options.device;
  std::string from = "device";
  if (device == "auto") {
    const std::string chosen = environment("TRACER_DEVICE");
    if (!chosen.empty()) {
      device = chosen;
      from = "TRACER_DEVICE";
    }
  }
  if (options.threads < 0) return bad_input("threads must be 0 (all) or more, not " + std::to_string(options.threads));
  if (const std::optional<int> number = cuda_device(device)) {
    return device_error(from + " '" + device + "' cannot be used: " + cuda_detail(*number));
  }
  if (device != "auto" && device != "cpu") {
    return device_error(from + " '" + device + "' is unknown; use auto, cpu, cuda or cuda:N");
  }
  return cpu::make_cpu_backend(options.threads, options.isa.empty() ? environment("TRACER_ISA") : options.isa);
}

}  // namespace tracer
