// What the library itself sees of its public types. Not installed.
#pragma once

#include <memory>

#include "host/api/device.h"
#include "kernels/backend.h"

namespace tracer {

struct DeviceAccess {
  static Backend& backend(const Device& device);
  static Device make(std::unique_ptr<Backend> backend);
};

}  // namespace tracer
