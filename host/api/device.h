// Where the library computes: a backend of kernels/ and, for text, the encoder's machine.
#pragma once

#include <memory>
#include <string>

#include "kernels/status.h"

namespace tracer {

class Backend;

struct DeviceOptions {
  std::string device = "auto";  // auto, cpu, cuda, cuda:N; the environment variable TRACER_DEVICE overrides auto
  int threads = 0;              // 0: all cores that this process may use
};

// A device that is open. It serves one call at a time: calls on one device must not overlap. Everything that was opened
// on it (a Router, a Job) must go before it.
class Device {
 public:
  explicit Device(std::unique_ptr<Backend> backend);
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device();

  std::string name() const;  // "cpu", "cuda:0"
  std::string isa() const;   // of the CPU: "avx512_amx"
  int threads() const;

  // For the library's own use.
  Backend& backend() const { return *backend_; }

 private:
  std::unique_ptr<Backend> backend_;
};

// kDevice, saying why, where the choice cannot be had; kBadInput for a name of no device.
Result<Device> open_device(const DeviceOptions& options);

}  // namespace tracer
