// Which LLM is asked, how, and for how much: what callers say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tracer {

// What a server speaks: chat completions, or Anthropic's messages.
enum class LlmApi { kOpenAi, kAnthropic };

// Where the LLM's server is, and who asks.
struct LlmServer {
  std::string url;                // the API's base: https://api.openai.com/v1, http://localhost:8000/v1
  std::string key_env, key_file;  // the API key; if both are "": $OPENAI_API_KEY or $ANTHROPIC_API_KEY, if it is set
  std::string ca_file;            // "": the system's certificates
  double timeout_seconds = 120, connect_timeout_seconds = 10;
};

// The defaults are those of `tracer run` (docs/cli.md).
struct LlmOptions {
  LlmServer server;
  std::string model;
  LlmApi api = LlmApi::kOpenAi;
  std::string prompt;      // a template's file; "": the built-in template
  std::string prices;      // a JSON file (docs/dispatch.md); "": cost is not counted
  bool structured = true;  // answers are held to the labels by a schema, unless the server refuses the schema
  int64_t max_output_tokens = 64;
  double temperature = 0;
  int64_t concurrency = 64;  // requests in flight, at most
  int64_t max_attempts = 6;  // of one text; an answer that asks for patience uses none up
  double rpm = 0, tpm = 0;   // requests and tokens a minute, at most; 0: what the server bears
  double give_up_seconds = 3600;
  // Of the whole job, over all its runs.
  std::optional<double> max_cost_usd;  // needs prices
  std::optional<int64_t> max_requests;
  // Of this run.
  std::optional<double> deadline_seconds;
};

}  // namespace tracer
