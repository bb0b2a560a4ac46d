#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "engine/text/own_files.h"
#include "engine/text/transformer.h"

namespace tracer {
namespace {

std::string module_path() {
  const char* named = std::getenv("TRACER_TORCH_MODULE");
  if (named != nullptr && *named != '\0') return named;
  // Beside the program in a build; below lib/ once installed, seen from bin/ and from lib/.
  return own_file({"libtracer_torch.so", "../lib/tracer/libtracer_torch.so", "tracer/libtracer_torch.so"});
}

// A library of the same name that is loaded already is the one that the module gets.
Status open_named_libtorch() {
  const char* folder = std::getenv("TRACER_TORCH_LIB");
  if (folder == nullptr || *folder == '\0') return {};
  const std::string library = (std::filesystem::path(folder) / "libtorch_cpu.so").string();
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return {};
  return device_error("text cannot be embedded: TRACER_TORCH_LIB: " + std::string(::dlerror()));
}

Result<const TransformerModule*> open_module() {
  TRACER_RETURN_IF_ERROR(open_named_libtorch());
  const std::string path = module_path();
  const std::string start = "text cannot be embedded: " + path + ": ";
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return device_error(start + ::dlerror());
  const void* symbol = ::dlsym(handle, kTransformerModuleSymbol);
  if (symbol == nullptr) return device_error(start + "not a module of TRACER");
  const auto* module = static_cast<const TransformerModule*>(symbol);
  if (module->interface != kTransformerModuleInterface)
    return device_error(start + "expected interface " + std::to_string(kTransformerModuleInterface) + ", found " +
                        std::to_string(module->interface));
  if (Status same = module->check(); !same.ok()) return device_error(start + same.message());
  return module;
}

}  // namespace

const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::kBfloat16:
      return "bfloat16";
    case Precision::kInt8:
      return "int8";
    case Precision::kFloat32:
      break;
  }
  return "float32";
}

std::optional<Precision> parse_precision(std::string_view name) {
  for (const Precision p : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8})
    if (name == to_string(p)) return p;
  return std::nullopt;
}

Result<const TransformerModule*> open_transformer_module() {
  static const Result<const TransformerModule*> module = open_module();
  return module;
}

}  // namespace tracer
