#include "host/api/device.h"

#include "kernels/backend.h"

namespace tracer {

Device::Device(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&&) noexcept = default;
Device::~Device() = default;

std::string Device::name() const { return std::string(backend_->name()); }
std::string Device::isa() const { return std::string(backend_->isa()); }
int Device::threads() const { return backend_->threads(); }

Result<Device> open_device(const DeviceOptions& options) {
  TRACER_ASSIGN_OR_RETURN(auto backend, make_backend({options.device, options.threads, ""}));
  return Device(std::move(backend));
}

}  // namespace tracer
