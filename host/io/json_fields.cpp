#include "host/io/json_fields.h"

namespace tracer {
namespace {

using Json = JsonFields::Json;

// Destroying, copying and printing JSON recurse over nesting; what is read here nests a few levels.
constexpr int kDeepest = 32;

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& part) {
  bool too_deep = false;
  Json j = Json::parse(
      text,
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep |= depth > kDeepest;
        return depth <= kDeepest;
      },
      false);
  if (too_deep) return bad_input(part + ": expected at most " + std::to_string(kDeepest) + " levels, found more");
  if (j.is_discarded()) return bad_input(part + ": expected JSON, found something else");
  return j;
}

}  // namespace tracer
