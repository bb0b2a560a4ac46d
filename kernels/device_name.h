// What a device's name means.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tracer {

// `given`, or for "auto" and "" $TRACER_DEVICE where it is set.
std::string chosen_device(std::string_view given);

// The N of "cuda:N", 0 for "cuda"; nothing for any other name.
std::optional<int> cuda_device(std::string_view name);

}  // namespace tracer
