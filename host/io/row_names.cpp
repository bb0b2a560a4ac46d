#include "host/io/row_names.h"

namespace tracer::io {

nlohmann::ordered_json row_name_json(const RowNames& names, int64_t i) {
  using Json = nlohmann::ordered_json;
  const auto at = static_cast<size_t>(i);
  const auto known = [&](const std::vector<std::string>& all) {
    return all.empty() || all[at].empty() ? Json(nullptr) : Json(all[at]);
  };
  return {{"line", names.line[at]}, {"id", known(names.id)}, {"input", known(names.input)}};
}

}  // namespace tracer::io
