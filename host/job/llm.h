// All that asking an LLM takes, made from what the caller says of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/http/http_client.h"
#include "host/job/config.h"
#include "host/job/dispatcher.h"
#include "host/llm/chat_api.h"
#include "host/llm/options.h"
#include "host/llm/prompt.h"
#include "kernels/status.h"

namespace tracer::job {

struct Llm {
  std::unique_ptr<llm::ChatApi> api;
  std::unique_ptr<llm::Prompt> prompt;
  http::HttpOptions http;
  DispatchOptions dispatch;
  LlmConfig config;  // what decides the answers: a job that goes on must have the same
};

// kBadInput with its field if options miss or clash; kBadInput or kIo, naming the file, for the prompt, the prices and
// the key. need_url: requests will be sent. batch: through a batch API, at its price.
Result<Llm> make_llm(const LlmOptions& options, const std::vector<std::string>& labels, bool need_url, bool batch);

// What the requests of a job are made of; `path` stands in messages. server: where they go, or nullptr if nothing is
// sent.
Result<Llm> llm_of_job(const JobConfig& config, const std::string& path, const LlmServer* server);

}  // namespace tracer::job
