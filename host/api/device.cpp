#include "host/api/device.h"

#include "host/api/access.h"

namespace tracer {

struct Device::State {
  std::unique_ptr<Backend> backend;
};

Device::Device(std::unique_ptr<State> state) : state_(std::move(state)) {}
Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&&) noexcept = default;
Device::~Device() = default;

std::string Device::name() const { return std::string(state_->backend->name()); }
std::string Device::isa() const { return std::string(state_->backend->isa()); }
int Device::threads() const { return state_->backend->threads(); }

Backend& DeviceAccess::backend(const Device& device) { return *device.state_->backend; }
Device DeviceAccess::make(std::unique_ptr<Backend> backend) {
  auto state = std::make_unique<Device::State>();
  state->backend = std::move(backend);
  return Device(std::move(state));
}

Result<Device> open_device(const DeviceOptions& options) {
  TRACER_ASSIGN_OR_RETURN(auto backend, make_backend({options.device, options.threads, ""}));
  return DeviceAccess::make(std::move(backend));
}

}  // namespace tracer
