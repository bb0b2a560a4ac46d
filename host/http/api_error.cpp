#include "host/http/api_error.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "host/io/untrusted_json.h"

namespace tracer::http {

using Json = nlohmann::json;
using io::find_at;
using io::text_at;

ApiError parse_api_error(std::string_view body) {
  ApiError error;
  const auto json = io::parse_untrusted(body);
  if (!json) return error;
  const Json* e = find_at(*json, {"error"});
  if (e != nullptr && e->is_string()) error.message = e->get<std::string>();
  if (e == nullptr || !e->is_object()) e = &*json;
  if (e->is_object()) {
    error.type = text_at(*e, {"type"});
    error.code = text_at(*e, {"code"});
    error.param = text_at(*e, {"param"});
    if (error.message.empty()) error.message = text_at(*e, {"message"});
    if (error.message.empty()) error.message = text_at(*e, {"detail"});
  }
  if (error.message.size() > 300) {
    error.message.resize(300);
    while (!error.message.empty() && (static_cast<unsigned char>(error.message.back()) & 0xc0) == 0x80)
      error.message.pop_back();
    if (!error.message.empty() && static_cast<unsigned char>(error.message.back()) >= 0xc0) error.message.pop_back();
  }
  std::replace_if(
      error.message.begin(), error.message.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return error;
}

}  // namespace tracer::http
