#include "engine/text/own_files.h"

#include <dlfcn.h>

#include <filesystem>

namespace tracer {
namespace {

namespace fs = std::filesystem;

// The folder of the shared library that this code is in, else that of the program.
fs::path own_folder() {
  std::error_code ec;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr)
    return program.parent_path();
  const fs::path file = fs::canonical(info.dli_fname, ec);
  // Of a program dladdr gives the name that it was started by, which need not be a path.
  const bool library = !ec && file.filename().string().find(".so") != std::string::npos;
  return library ? file.parent_path() : program.parent_path();
}

}  // namespace

std::string own_file(std::initializer_list<const char*> candidates) {
  const fs::path folder = own_folder();
  std::error_code ec;
  for (const char* candidate : candidates)
    if (const fs::path path = (folder / candidate).lexically_normal(); fs::exists(path, ec)) return path.string();
  return (folder / *candidates.begin()).lexically_normal().string();
}

}  // namespace tracer
