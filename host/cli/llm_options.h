// The options that say which LLM is asked, how, and for how much.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/job/dispatcher.h"
#include "host/llm/chat_api.h"
#include "host/llm/prompt.h"

namespace tracer::cli {

// Where the server is, and who asks.
struct ServerOptions {
  std::string url;
  std::string key_env, key_file;
  std::string ca_file;
  double timeout_seconds = 120, connect_timeout_seconds = 10;
};
void add_server_options(Flags& app, ServerOptions& options);

struct LlmOptions {
  ServerOptions server;
  std::string model;
  std::string api = "openai";
  std::string prompt;  // a template's file; "": the built-in one
  std::string prices;
  std::string structured = "auto";
  int64_t max_output_tokens = 64;
  double temperature = 0;
  int64_t concurrency = 64;
  int64_t max_attempts = 6;
  double rpm = 0, tpm = 0;
  double give_up_seconds = 3600;
  std::optional<double> max_cost_usd;
  std::optional<int64_t> max_requests;
  std::string deadline;  // a duration
};
void add_llm_options(Flags& app, LlmOptions& options);

// Everything that dispatch needs, made from the options.
struct Llm {
  std::unique_ptr<llm::ChatApi> api;
  std::unique_ptr<llm::Prompt> prompt;
  http::HttpOptions http;
  job::DispatchOptions dispatch;
  Json config;  // what decides the answers: a job that goes on must have the same
};

// kBadInput where options miss or clash; the message names the option. need_url: requests will be sent. batch: through
// a batch API, at its price.
Result<Llm> make_llm(const LlmOptions& options, const std::vector<std::string>& labels, bool need_url, bool batch);

// What the requests of a job are made of, from its configuration; `path` stands in messages. server: where they go, or
// nullptr when nothing is sent.
Result<Llm> llm_of_job(const Json& config, const std::string& path, const ServerOptions* server);

}  // namespace tracer::cli
