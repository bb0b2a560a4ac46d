// Documents that we write: their text, and the head of those that we read again, which names format and version.
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

// A document as files and standard output hold it. Any JSON reader takes it: bytes that are no UTF-8 become U+FFFD.
std::string json_text(const nlohmann::ordered_json& document);
// The same on one line, without its end.
std::string json_line(const nlohmann::ordered_json& document);

}  // namespace tracer
