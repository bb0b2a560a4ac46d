// Two wire formats behind one shape: OpenAI-compatible chat completions, and Anthropic Messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/http/api_error.h"
#include "host/llm/options.h"
#include "host/llm/prices.h"
#include "host/llm/prompt.h"
#include "kernels/status.h"

namespace tracer::llm {

using Api = LlmApi;

struct ChatOptions {
  Api api = Api::kOpenAi;
  std::string url;  // base: ".../v1" for OpenAI's kind, the host for Anthropic's; no "/" at the end
  std::string model;
  std::string key;  // "": no Authorization
  std::vector<std::string> labels;
  int64_t max_output_tokens = 64;
  double temperature = 0;
};

// What of the format a server takes: compatible servers differ, and so do models of one server.
struct Dialect {
  bool structured = true;              // the answer is held to the labels by a schema (OpenAI) or a tool (Anthropic)
  bool max_completion_tokens = false;  // OpenAI's newer name of max_tokens
  bool temperature = true;
  friend bool operator==(const Dialect&, const Dialect&) = default;
};

// More labels than OpenAI takes in a schema's enum are asked for in words alone.
inline constexpr size_t kMostSchemaLabels = 500;

struct ChatAnswer {
  std::string text;  // of the message; of a structured answer its JSON
  Usage usage;
  bool has_usage = false;
};

// Builds requests. Immutable and thread-safe.
class ChatApi {
 public:
  explicit ChatApi(ChatOptions options);

  const std::string& url() const { return url_; }
  const std::vector<std::string>& headers() const { return headers_; }
  std::string body(const std::vector<Message>& messages, const Dialect& dialect) const;
  // At least the tokens that a body is billed for: no tokenizer makes more tokens than bytes, and the frame of a
  // message is counted generously.
  Usage most_usage(std::string_view body) const;
  const ChatOptions& options() const { return options_; }

 private:
  ChatOptions options_;
  std::string url_;
  std::vector<std::string> headers_;
  std::string model_;   // as JSON
  std::string schema_;  // of the labels, as JSON
};

// The answer in the body of a 200. kBadInput in words (never with the body) when it is no such document.
Result<ChatAnswer> parse_chat_answer(Api api, std::string_view body);

// The dialect to try instead, when a refusal (400 or 422) is about one of its parts.
std::optional<Dialect> other_dialect(const Dialect& dialect, const http::ApiError& error);

// The label an answer names: the whole text, or the "label" of a JSON object, without whitespace around it, spelled
// exactly as the label. -1: none.
int32_t parse_label(std::string_view answer, const std::vector<std::string>& labels);

}  // namespace tracer::llm
