#include "host/io/json_format.h"

#include "host/io/json_fields.h"

namespace tracer {

Result<int64_t> format_version(const nlohmann::ordered_json& document, const std::string& path, const char* format,
                               int64_t oldest, int64_t newest) {
  JsonFields f(document, path);
  std::string found;
  int64_t version = 0;
  f.text("format", found);
  f.count("format_version", version);
  TRACER_RETURN_IF_ERROR(f.status());
  if (found == format && version >= oldest && version <= newest) return version;
  return bad_input(path + ": expected format \"" + format + "\" version " +
                   (oldest < newest ? std::to_string(oldest) + " to " : "") + std::to_string(newest) + ", found \"" +
                   found + "\" version " + std::to_string(version));
}

std::string json_text(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string json_line(const nlohmann::ordered_json& document) {
  return document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tracer
