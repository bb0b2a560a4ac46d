#include "host/cli/job_config.h"

#include <filesystem>

namespace tracer::cli {
namespace {

std::string shown_value(const Json& v) {
  const std::string text = v.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 80) + "..." : text;
}

}  // namespace

Json rows_config(const LoadedPolicy& loaded, const RowSource& input) {
  std::error_code ec;
  const auto bytes = std::filesystem::file_size(input.traces, ec);
  return {{"policy", loaded.artifact.digest},
          {"alpha", loaded.certificate.alpha},
          {"input_bytes", ec ? Json() : Json(bytes)},
          {"input_key", input.input_key},
          {"format", input.format},
          {"labels", loaded.artifact.policy.labels}};
}

std::string difference(const Json& now, const Json& job, const std::string& where) {
  for (const auto& [key, value] : now.items()) {
    const auto other = job.find(key);
    if (other != job.end() && *other == value) continue;
    const std::string name = where.empty() ? key : where + "." + key;
    if (other != job.end() && value.is_object() && other->is_object()) return difference(value, *other, name);
    return name + ": the job has " + (other == job.end() ? "none" : shown_value(*other)) + ", now it is " +
           shown_value(value);
  }
  return "";
}

}  // namespace tracer::cli
