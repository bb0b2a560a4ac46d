// Where the library computes: a backend of kernels/ and, for text, the encoder's machine.
#pragma once

#include <memory>
#include <string>

#include "kernels/status.h"

namespace tracer {

struct DeviceOptions {
  std::string device = "auto";  // auto, cpu, cuda, cuda:N; the environment variable TRACER_DEVICE overrides auto
  int threads = 0;              // 0: all cores that this process may use
};

// A device that is open. It serves one call at a time: calls on one device must not overlap. Everything that was opened
// on it (a Router, a Job) must go before it.
class Device {
 public:
  struct State;  // the library's own

  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device();

  std::string name() const;  // "cpu", "cuda:0"
  std::string isa() const;   // of the CPU: "avx512_amx"
  int threads() const;

 private:
  friend struct DeviceAccess;  // host/api/access.h: the library's own
  explicit Device(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// kDevice, saying why, where the choice cannot be had; kBadInput for a name of no device.
Result<Device> open_device(const DeviceOptions& options);

}  // namespace tracer
