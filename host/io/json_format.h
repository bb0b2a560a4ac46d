// The head of the documents that we write and read again: which format, and which version of it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/status.h"

namespace tracer {

// The document's "format_version". kBadInput, beginning with `path`, unless its "format" is this one and the version is
// within these.
Result<int64_t> format_version(const nlohmann::ordered_json& document, const std::string& path, const char* format,
                               int64_t oldest, int64_t newest);

}  // namespace tracer
