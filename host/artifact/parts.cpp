#include "host/artifact/parts.h"

#include "host/artifact/names.h"
#include "host/io/json_fields.h"

namespace tracer {
namespace {

Status expected(const std::string& part, const std::string& what, const Json& found) {
  return bad_input(part + ": expected " + what + ", found " + found.type_name());
}

Status check_estimate(const Json& json, const std::string& part) {
  JsonFields f(json, part);
  std::optional<double> alpha;
  std::optional<int64_t> missing;
  int64_t fewest = 0;
  f.optional_number("best_alpha", alpha);
  f.count("fewest_handled", fewest);
  f.optional_count("traces_missing", missing);
  return f.status();
}

Status check_frontier_entry(const Json& entry, const std::string& part) {
  JsonFields f(entry, part);
  double alpha = 0;
  bool certified = false;
  std::string text;
  std::optional<double> figure;
  f.number("alpha", alpha, 0, 1);
  f.boolean("certified", certified);
  f.text("method", text);
  for (const char* key : {"coverage", "teacher_agreement", "teacher_agreement_lower", "threshold"})
    f.optional_number(key, figure);
  TRACER_RETURN_IF_ERROR(f.status());
  bool approximate = false;
  if (entry.contains("approximate")) f.boolean("approximate", approximate);
  if (entry.contains("text_stage_share")) f.optional_number("text_stage_share", figure);
  if (certified) return f.status();
  f.text("reason", text);
  const Json& estimate = f.object("estimate");
  TRACER_RETURN_IF_ERROR(f.status());
  return check_estimate(estimate, part + ": estimate");
}

}  // namespace

Result<Json> parse_frontier(std::string_view text, const std::string& part) {
  auto json = parse_json(text, part);
  if (!json.ok()) return json;
  if (!json->is_array()) return expected(part, "an array", *json);
  for (const Json& entry : *json) TRACER_RETURN_IF_ERROR(check_frontier_entry(entry, part));
  return json;
}

Result<Json> parse_findings(std::string_view text, const std::string& part) {
  auto json = parse_json(text, part);
  if (!json.ok()) return json;
  JsonFields f(*json, part);
  for (const Json& warning : f.array("warnings"))
    if (!warning.is_string()) return expected(part + ": warnings", "strings", warning);
  for (const Json& suspect : f.array("suspects")) {
    JsonFields s(suspect, part + ": suspects");
    int64_t line = 0;
    std::string label;
    double score = 0;
    s.count("line", line);
    s.text("teacher", label);
    s.text("surrogate", label);
    s.number("score", score, 0, 1);
    TRACER_RETURN_IF_ERROR(s.status());
  }
  TRACER_RETURN_IF_ERROR(f.status());
  return json;
}

Result<Json> parse_look_ledger(std::string_view text, const std::string& part) {
  auto json = parse_json(text, part);
  if (!json.ok()) return json;
  JsonFields f(*json, part);
  for (const Json& look : f.array("looks"))
    if (!look.is_object()) return expected(part + ": looks", "objects", look);
  TRACER_RETURN_IF_ERROR(f.status());
  return json;
}

Result<std::vector<std::string>> parse_reference_ids(std::string_view text, const std::string& part) {
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(text, part));
  std::vector<std::string> ids;
  JsonFields f(json, part);
  for (const Json& id : f.array("ids")) {
    if (!id.is_string()) return expected(part + ": ids", "strings", id);
    ids.push_back(id.get<std::string>());
  }
  TRACER_RETURN_IF_ERROR(f.status());
  return ids;
}

Status check_parts(const Json& manifest, const std::map<std::string, std::string_view>& parts,
                   const std::map<std::string, std::string>& digests, const std::string& folder) {
  const std::string where = folder + "/" + kManifest;
  JsonFields m(manifest, where);
  const Json& sealed = m.object("parts");
  TRACER_RETURN_IF_ERROR(m.status());
  JsonFields names(sealed, where + ": parts");
  for (const auto& [name, bytes] : parts) {
    const Json& entry = names.object(name.c_str());
    TRACER_RETURN_IF_ERROR(names.status());
    JsonFields f(entry, where + ": parts: " + name);
    std::string sha256;
    int64_t size = 0;
    f.text("sha256", sha256);
    f.count("bytes", size);
    TRACER_RETURN_IF_ERROR(f.status());
    if (size != static_cast<int64_t>(bytes.size()))
      return bad_input(folder + "/" + name + ": not the part that the manifest was written with: expected " +
                       std::to_string(size) + " bytes, found " + std::to_string(bytes.size()));
    if (const std::string& found = digests.at(name); found != sha256)
      return bad_input(folder + "/" + name + ": not the part that the manifest was written with: expected sha256 " +
                       sha256 + ", found " + found);
  }
  return {};
}

}  // namespace tracer
