#include "host/job/config.h"

#include "host/io/json_fields.h"

namespace tracer::job {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const RowsConfig& rows) {
  return {{"policy", rows.policy},       {"alpha", rows.alpha},   {"input_bytes", optional_json(rows.input_bytes)},
          {"input_key", rows.input_key}, {"format", rows.format}, {"labels", rows.labels}};
}

Json json_of(const LlmConfig& llm) {
  return {{"api", llm.api == LlmApi::kOpenAi ? "openai" : "anthropic"},
          {"model", llm.model},
          {"prompt", llm.prompt},
          {"prompt_text", llm.prompt_text},
          {"structured", llm.structured ? "auto" : "off"},
          {"max_output_tokens", llm.max_output_tokens},
          {"temperature", llm.temperature},
          {"price",
           llm.price ? Json{{"prompt", llm.price->prompt}, {"completion", llm.price->completion}} : Json(nullptr)}};
}

// What must be the same when the job goes on.
Json deciding(const JobConfig& config) {
  Json json = json_of(config.rows);
  json["audit_rate"] = config.audit_rate;
  json["llm"] = json_of(config.llm);
  return json;
}

std::string shown_value(const Json& v) {
  const std::string text = v.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 80) + "..." : text;
}

std::string first_difference(const Json& now, const Json& job, const std::string& where) {
  for (const auto& [key, value] : now.items()) {
    const Json& other = job.at(key);
    if (other == value) continue;
    const std::string name = where.empty() ? key : where + "." + key;
    if (value.is_object() && other.is_object()) return first_difference(value, other, name);
    return name + ": the job has " + shown_value(other) + ", now it is " + shown_value(value);
  }
  return "";
}

constexpr double kMostAlpha = 1, kMostRate = 1, kMostTemperature = 1e6;

void read_rows(JsonFields& fields, RowsConfig& rows) {
  fields.text("policy", rows.policy);
  fields.number("alpha", rows.alpha, 0, kMostAlpha);
  fields.optional_count("input_bytes", rows.input_bytes);
  fields.text("input_key", rows.input_key);
  fields.text("format", rows.format);
}

Result<LlmConfig> read_llm(const Json& json, const std::string& where) {
  LlmConfig llm;
  std::string api, structured;
  JsonFields fields(json, where);
  fields.text("api", api);
  fields.text("model", llm.model);
  fields.text("prompt", llm.prompt);
  fields.text("prompt_text", llm.prompt_text);
  fields.text("structured", structured);
  fields.count("max_output_tokens", llm.max_output_tokens);
  fields.number("temperature", llm.temperature, 0, kMostTemperature);
  if (!fields.status().ok()) return fields.status();
  if (api != "openai" && api != "anthropic")
    return bad_input(where + ": \"api\": expected openai or anthropic, found \"" + api + "\"");
  if (structured != "auto" && structured != "off")
    return bad_input(where + ": \"structured\": expected auto or off, found \"" + structured + "\"");
  llm.api = api == "openai" ? LlmApi::kOpenAi : LlmApi::kAnthropic;
  llm.structured = structured == "auto";
  const auto price = json.find("price");
  if (price == json.end()) return bad_input(where + ": expected the field \"price\", found none");
  if (price->is_null()) return llm;
  llm.price.emplace();
  JsonFields tokens(*price, where + ": \"price\"");
  tokens.count("prompt", llm.price->prompt);
  tokens.count("completion", llm.price->completion);
  if (!tokens.status().ok()) return tokens.status();
  return llm;
}

}  // namespace

std::string config_text(const JobConfig& config) {
  Json json = deciding(config);
  json["job_id"] = config.job_id;
  json["audit_seed"] = config.audit_seed;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<JobConfig> parse_config(const std::string& text, const std::string& where) {
  TRACER_ASSIGN_OR_RETURN(const Json json, parse_json(text, where));
  JobConfig config;
  JsonFields fields(json, where);
  read_rows(fields, config.rows);
  for (const Json& label : fields.array("labels")) {
    if (!label.is_string()) return bad_input(where + ": \"labels\": expected strings");
    config.rows.labels.push_back(label.get<std::string>());
  }
  fields.number("audit_rate", config.audit_rate, 0, kMostRate);
  fields.text("job_id", config.job_id);
  fields.count("audit_seed", config.audit_seed);
  const Json& llm = fields.object("llm");
  if (!fields.status().ok()) return fields.status();
  TRACER_ASSIGN_OR_RETURN(config.llm, read_llm(llm, where + ": \"llm\""));
  return config;
}

std::string difference(const JobConfig& now, const JobConfig& job) {
  return first_difference(deciding(now), deciding(job), "");
}
std::string difference(const RowsConfig& now, const RowsConfig& job) {
  return first_difference(json_of(now), json_of(job), "");
}

}  // namespace tracer::job
