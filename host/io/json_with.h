// JSON objects put together.
#pragma once

#include <nlohmann/json.hpp>

namespace tracer {

// json with the members of `more` behind its own; those of one name are more's.
inline nlohmann::ordered_json with(nlohmann::ordered_json json, const nlohmann::ordered_json& more) {
  json.update(more);
  return json;
}

}  // namespace tracer
