#include "kernels/device_name.h"

#include <charconv>
#include <cstdlib>
#include <system_error>

namespace tracer {

std::string chosen_device(std::string_view given) {
  if (!given.empty() && given != "auto") return std::string(given);
  const char* named = std::getenv("TRACER_DEVICE");
  return named != nullptr && *named != '\0' ? named : "auto";
}

std::optional<int> cuda_device(std::string_view name) {
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = name.substr(5);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace tracer
