#include "host/io/untrusted_json.h"

namespace tracer::io {

using Json = nlohmann::json;

namespace {

// nlohmann's parser recurses: an answer is from elsewhere, and nests as deep as it likes.
bool nests_deeply(std::string_view body) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > 64) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

const Json* find_at(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* here = &json;
  for (const std::string_view key : path) {
    if (here->is_array() && key == "0") {
      if (here->empty()) return nullptr;
      here = &(*here)[0];
      continue;
    }
    if (!here->is_object()) return nullptr;
    const auto found = here->find(std::string(key));
    if (found == here->end()) return nullptr;
    here = &*found;
  }
  return here;
}

std::string text_at(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* value = find_at(json, path);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  return value->is_number_integer() ? std::to_string(value->get<int64_t>()) : "";
}

bool count_at(const Json& json, std::initializer_list<std::string_view> path, int64_t& out) {
  const Json* value = find_at(json, path);
  if (value == nullptr || !value->is_number_integer()) return false;
  const auto n = value->get<int64_t>();
  constexpr int64_t kMost = int64_t{1} << 27;  // times the dearest price, four counts of it fit in an int64
  if (n < 0 || n > kMost) return false;
  out = n;
  return true;
}

std::optional<Json> parse_untrusted(std::string_view body) {
  if (nests_deeply(body)) return std::nullopt;
  Json json = Json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

}  // namespace tracer::io
