#include "host/llm/chat_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "host/io/json_row.h"
#include "host/io/json_text.h"
#include "host/io/untrusted_json.h"

namespace tracer::llm {
namespace {

using Json = nlohmann::json;
using io::json_string;

Result<ChatAnswer> openai_answer(const Json& json) {
  ChatAnswer answer;
  const Json* message = io::find_at(json, {"choices", "0", "message"});
  if (message == nullptr || !message->is_object()) return bad_input("the answer has no choices[0].message");
  answer.text = io::text_at(*message, {"content"});
  answer.has_usage = io::count_at(json, {"usage", "prompt_tokens"}, answer.usage.prompt_tokens) &&
                     io::count_at(json, {"usage", "completion_tokens"}, answer.usage.completion_tokens);
  return answer;
}

Result<ChatAnswer> anthropic_answer(const Json& json) {
  ChatAnswer answer;
  const Json* content = io::find_at(json, {"content"});
  if (content == nullptr || !content->is_array()) return bad_input("the answer has no content");
  for (const Json& part : *content) {
    if (io::text_at(part, {"type"}) == "text") answer.text += io::text_at(part, {"text"});
    if (io::text_at(part, {"type"}) == "tool_use")
      if (const Json* input = io::find_at(part, {"input"}))
        answer.text = input->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  answer.has_usage = io::count_at(json, {"usage", "input_tokens"}, answer.usage.prompt_tokens) &&
                     io::count_at(json, {"usage", "output_tokens"}, answer.usage.completion_tokens);
  // Input that was written to, or read from, a cache is counted apart there.
  int64_t cached = 0;
  for (const char* key : {"cache_creation_input_tokens", "cache_read_input_tokens"})
    if (io::count_at(json, {"usage", key}, cached)) answer.usage.prompt_tokens += cached;
  return answer;
}

}  // namespace

ChatApi::ChatApi(ChatOptions options) : options_(std::move(options)) {
  std::string base = options_.url;
  while (!base.empty() && base.back() == '/') base.pop_back();
  const bool openai = options_.api == Api::kOpenAi;
  url_ = base + (openai ? "/chat/completions" : "/v1/messages");
  headers_ = {"Content-Type: application/json"};
  if (!openai) headers_.emplace_back("anthropic-version: 2023-06-01");
  if (!options_.key.empty()) headers_.push_back((openai ? "Authorization: Bearer " : "x-api-key: ") + options_.key);
  model_ = json_string(options_.model);
  std::string names;
  for (const std::string& label : options_.labels) names += (names.empty() ? "" : ",") + json_string(label);
  schema_ = "{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\",\"enum\":[" + names +
            "]}},\"required\":[\"label\"],\"additionalProperties\":false}";
}

std::string ChatApi::body(const std::vector<Message>& messages, const Dialect& dialect) const {
  const bool openai = options_.api == Api::kOpenAi;
  const bool structured = dialect.structured && options_.labels.size() <= kMostSchemaLabels;
  std::string out = "{\"model\":" + model_;
  std::string list;
  for (const Message& m : messages) {
    if (!openai && m.role == "system") {
      out += ",\"system\":" + json_string(m.text);
      continue;
    }
    list += (list.empty() ? "{\"role\":\"" : ",{\"role\":\"") + m.role + "\",\"content\":" + json_string(m.text) + "}";
  }
  out += ",\"messages\":[" + list + "]";
  out += openai && dialect.max_completion_tokens ? ",\"max_completion_tokens\":" : ",\"max_tokens\":";
  out += std::to_string(options_.max_output_tokens);
  if (dialect.temperature) out += ",\"temperature\":" + io::json_number(options_.temperature);
  if (structured && openai)
    out +=
        ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"classification\",\"strict\":true,"
        "\"schema\":" +
        schema_ + "}}";
  if (structured && !openai)
    out += ",\"tools\":[{\"name\":\"classify\",\"description\":\"Gives the label of the text.\",\"input_schema\":" +
           schema_ + "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"classify\"}";
  return out + "}";
}

Usage ChatApi::most_usage(std::string_view body) const {
  constexpr int64_t kFrame = 512;  // a tool's own instructions, roles, separators
  return {static_cast<int64_t>(body.size()) + kFrame, options_.max_output_tokens};
}

Result<ChatAnswer> parse_chat_answer(Api api, std::string_view body) {
  const auto json = io::parse_untrusted(body);
  if (!json) return bad_input("the answer is no JSON");
  return api == Api::kOpenAi ? openai_answer(*json) : anthropic_answer(*json);
}

std::optional<Dialect> other_dialect(const Dialect& dialect, const http::ApiError& error) {
  const auto about = [&](std::string_view name) {
    return error.param.find(name) != std::string::npos || error.message.find(name) != std::string::npos;
  };
  Dialect other = dialect;
  if (about("max_completion_tokens") || about("max_tokens")) {
    if (dialect.max_completion_tokens) return std::nullopt;
    other.max_completion_tokens = true;
    return other;
  }
  if (dialect.temperature && about("temperature")) {
    other.temperature = false;
    return other;
  }
  if (dialect.structured && (about("response_format") || about("json_schema") || about("schema") || about("tool"))) {
    other.structured = false;
    return other;
  }
  return std::nullopt;
}

int32_t parse_label(std::string_view answer, const std::vector<std::string>& labels) {
  const auto find = [&](std::string_view text) {
    text = io::trimmed(text);
    for (size_t i = 0; i < labels.size(); ++i)
      if (labels[i] == text) return static_cast<int32_t>(i);
    return int32_t{-1};
  };
  const int32_t whole = find(answer);
  if (whole >= 0) return whole;
  const std::string_view text = io::trimmed(answer);
  if (text.empty() || text.front() != '{') return -1;
  const auto json = io::parse_untrusted(text);
  if (!json) return -1;
  const Json* label = io::find_at(*json, {"label"});
  return label != nullptr && label->is_string() ? find(label->get<std::string>()) : -1;
}

}  // namespace tracer::llm
