// Which policy, and which of its certificates.
#pragma once

#include <optional>
#include <string>

namespace tracer {

struct PolicyOptions {
  std::string folder;
  std::optional<double> alpha;  // default: the one `fit` was asked for
};

}  // namespace tracer
