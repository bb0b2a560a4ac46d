#include "host/job/llm.h"

#include <cmath>

#include "host/http/secret.h"

namespace tracer::job {
namespace {

Status missing(const std::string& name, const std::string& what) {
  return bad_option(name, option(name) + " is missing: " + what);
}

// Where it is sent to, and with which key.
Status set_server(const LlmServer& o, llm::ChatOptions& chat, http::HttpOptions& http) {
  if (o.url.empty()) return missing("llm_url", "deferred rows go to an LLM");
  if (o.url.rfind("http://", 0) != 0 && o.url.rfind("https://", 0) != 0)
    return bad_option(
        "llm_url",
        option("llm_url") + ": expected an address that begins with http:// or https://, found \"" + o.url + "\"");
  chat.url = o.url;
  const bool openai = chat.api == LlmApi::kOpenAi;
  const std::string variable = !o.key_env.empty() ? o.key_env : openai ? "OPENAI_API_KEY" : "ANTHROPIC_API_KEY";
  TRACER_ASSIGN_OR_RETURN(chat.key, http::read_key({o.key_file, variable}));
  if (chat.key.empty() && !o.key_env.empty())
    return bad_option("llm_key_env", option("llm_key_env") + ": $" + o.key_env + " is not set");
  http.timeout_ms = static_cast<int64_t>(std::ceil(o.timeout_seconds * 1000));
  http.connect_timeout_ms = static_cast<int64_t>(std::ceil(o.connect_timeout_seconds * 1000));
  http.ca_file = o.ca_file;
  return {};
}

llm::ChatOptions chat_options(const LlmConfig& config, const std::vector<std::string>& labels) {
  llm::ChatOptions chat;
  chat.api = config.api;
  chat.model = config.model;
  chat.labels = labels;
  chat.max_output_tokens = config.max_output_tokens;
  chat.temperature = config.temperature;
  return chat;
}

}  // namespace

Result<Llm> llm_of_job(const JobConfig& config, const std::string& path, const LlmServer* server) {
  Llm llm;
  llm.config = config.llm;
  llm::ChatOptions chat = chat_options(config.llm, config.rows.labels);
  TRACER_ASSIGN_OR_RETURN(auto prompt, llm::Prompt::make(config.llm.prompt_text, path, chat.labels));
  llm.prompt = std::make_unique<llm::Prompt>(std::move(prompt));
  if (server != nullptr) TRACER_RETURN_IF_ERROR(set_server(*server, chat, llm.http));
  llm.api = std::make_unique<llm::ChatApi>(std::move(chat));
  llm.dispatch.structured = config.llm.structured;
  llm.dispatch.price = config.llm.price;
  return llm;
}

Result<Llm> make_llm(const LlmOptions& o, const std::vector<std::string>& labels, bool need_url, bool batch) {
  if (o.model.empty() && (need_url || !o.prices.empty())) return missing("llm_model", "the model that is asked");
  if (o.max_cost_usd && o.prices.empty())
    return missing("prices", option("max_cost_usd") + " cannot count without prices");
  if (o.rpm < 0 || o.tpm < 0)
    return bad_option(o.rpm < 0 ? "rpm" : "tpm", option("rpm") + " and " + option("tpm") + " must not be negative");
  Llm llm;
  TRACER_ASSIGN_OR_RETURN(auto prompt, llm::Prompt::read(o.prompt, labels));
  llm.prompt = std::make_unique<llm::Prompt>(std::move(prompt));
  llm.config = {o.api,         o.model,     llm.prompt->digest(), llm.prompt->text(), o.structured, o.max_output_tokens,
                o.temperature, std::nullopt};
  llm::ChatOptions chat = chat_options(llm.config, labels);
  if (need_url) TRACER_RETURN_IF_ERROR(set_server(o.server, chat, llm.http));
  if (!o.prices.empty()) {
    TRACER_ASSIGN_OR_RETURN(llm.config.price, llm::read_price(o.prices, o.model, batch));
  }
  llm.api = std::make_unique<llm::ChatApi>(std::move(chat));
  llm.http.max_connections = o.concurrency;
  DispatchOptions& d = llm.dispatch;
  d.concurrency = o.concurrency;
  d.most_attempts = static_cast<int>(o.max_attempts);
  d.requests_per_minute = o.rpm;
  d.tokens_per_minute = o.tpm;
  d.give_up_seconds = o.give_up_seconds;
  d.price = llm.config.price;
  if (o.max_cost_usd) d.most_cost = static_cast<int64_t>(std::floor(*o.max_cost_usd * llm::kPicodollars));
  d.most_requests = o.max_requests;
  d.deadline_seconds = o.deadline_seconds;
  d.structured = o.structured;
  return llm;
}

}  // namespace tracer::job
