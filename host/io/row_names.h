// How people find a row of a file again.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tracer::io {

// n each, or empty where that is not known of any.
struct RowNames {
  std::vector<int64_t> line;  // in the file at hand; 0: not in it
  std::vector<std::string> id, input;
};

// {"line", "id", "input"} of row i, which has a line; null where it has no id or text.
nlohmann::ordered_json row_name_json(const RowNames& names, int64_t i);

}  // namespace tracer::io
