#include "engine/torch/cuda_half.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <filesystem>
#include <string>

#include "engine/torch/guarded.h"

namespace tracer {
namespace {

Status load() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) == 0 || info.dli_fname == nullptr)
    return device_error("libtorch's own folder cannot be found");
  const auto library = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
  std::error_code ec;
  if (!std::filesystem::exists(library, ec))
    return device_error(library.string() +
                        " is not there: this libtorch is the CPU half (TRACER_TORCH_LIB names the "
                        "folder of another)");
  // Its constructors make CUDA known to the libtorch that is loaded already.
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) return device_error(::dlerror());
  return {};
}

}  // namespace

Status open_cuda_half(int device) {
  static const Status loaded = load();
  TRACER_RETURN_IF_ERROR(loaded);
  int devices = 0;
  TRACER_RETURN_IF_ERROR(
      guarded([&] { devices = at::hasCUDA() ? c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount() : 0; }));
  if (device < devices) return {};
  return device_error(devices == 0 ? "libtorch finds no CUDA device"
                                   : "libtorch finds no CUDA device " + std::to_string(device) + ": there are " +
                                         std::to_string(devices));
}

}  // namespace tracer
