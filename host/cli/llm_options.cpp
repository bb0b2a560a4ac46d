#include "host/cli/llm_options.h"

#include <cmath>

#include "host/cli/flags.h"
#include "host/http/pacing.h"
#include "host/http/secret.h"

namespace tracer::cli {
namespace {

Status missing(const std::string& option, const std::string& what) {
  return bad_input(option + " is missing: " + what);
}

Result<std::optional<double>> deadline_seconds(const std::string& text) {
  if (text.empty()) return std::optional<double>();
  const int64_t ms = http::duration_ms(text);
  if (ms <= 0) return bad_input("--deadline: expected a duration such as 8h, 30m or 90s, found \"" + text + "\"");
  return std::optional<double>(static_cast<double>(ms) / 1000);
}

// Where it is sent to, and with which key.
Status set_server(const ServerOptions& o, llm::ChatOptions& chat, http::HttpOptions& http) {
  if (o.url.empty()) return missing("--llm-url", "deferred rows go to an LLM");
  if (o.url.rfind("http://", 0) != 0 && o.url.rfind("https://", 0) != 0)
    return bad_input("--llm-url: expected an address that begins with http:// or https://, found \"" + o.url + "\"");
  chat.url = o.url;
  const bool openai = chat.api == llm::Api::kOpenAi;
  const std::string variable = !o.key_env.empty() ? o.key_env : openai ? "OPENAI_API_KEY" : "ANTHROPIC_API_KEY";
  TRACER_ASSIGN_OR_RETURN(auto key, http::read_key({o.key_file, variable}));
  if (key.empty() && !o.key_env.empty()) return bad_input("--llm-key-env: $" + o.key_env + " is not set");
  chat.key = std::move(key);
  http.timeout_ms = static_cast<int64_t>(std::ceil(o.timeout_seconds * 1000));
  http.connect_timeout_ms = static_cast<int64_t>(std::ceil(o.connect_timeout_seconds * 1000));
  http.ca_file = o.ca_file;
  return {};
}

}  // namespace

void add_server_options(Flags& app, ServerOptions& o) {
  app.add_option("--llm-url", o.url, "base of the LLM's API: https://api.openai.com/v1, http://localhost:8000/v1, ...");
  app.add_option("--llm-key-env", o.key_env,
                 "environment variable with the API key (default: OPENAI_API_KEY or ANTHROPIC_API_KEY)");
  app.add_option("--llm-key-file", o.key_file, "file with the API key, readable by its owner only");
  app.add_option("--ca-file", o.ca_file, "certificates to trust instead of the system's (PEM)");
  app.add_option("--timeout-seconds", o.timeout_seconds, "of one request")
      ->check(in_range(0.001, 86'400.0))
      ->capture_default_str();
  app.add_option("--connect-timeout-seconds", o.connect_timeout_seconds)
      ->check(in_range(0.001, 3'600.0))
      ->capture_default_str();
}

void add_llm_options(Flags& app, LlmOptions& o) {
  add_server_options(app, o.server);
  app.add_option("--llm-model", o.model, "model that answers deferred rows");
  app.add_option("--llm-api", o.api, "what the server speaks: chat completions, or Anthropic's messages")
      ->check(one_of({"openai", "anthropic"}))
      ->capture_default_str();
  app.add_option("--prompt", o.prompt, "template with {labels} and {input}; above a line --- the system's part");
  app.add_option("--structured", o.structured,
                 "hold answers to the labels by a schema: auto drops it where the server refuses it")
      ->check(one_of({"auto", "off"}))
      ->capture_default_str();
  app.add_option("--max-output-tokens", o.max_output_tokens, "of an answer")
      ->check(in_range(1, 100'000))
      ->capture_default_str();
  app.add_option("--temperature", o.temperature)->check(in_range(0.0, 2.0))->capture_default_str();
  app.add_option("--concurrency", o.concurrency, "requests in flight at most; fewer while the server pushes back")
      ->check(in_range(1, 4096))
      ->capture_default_str();
  app.add_option("--max-attempts", o.max_attempts, "of one row; being told to wait uses none up")
      ->check(in_range(1, 1000))
      ->capture_default_str();
  app.add_option("--rpm", o.rpm, "requests a minute at most (0: what the server bears)")->check(not_negative());
  app.add_option("--tpm", o.tpm, "tokens a minute at most")->check(not_negative());
  app.add_option("--give-up-seconds", o.give_up_seconds, "stop asking after so long without any answer")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--prices", o.prices,
                 R"(JSON file {"MODEL": {"input": USD, "output": USD}}, USD a million tokens; )"
                 R"(for --batch also "batch_input", "batch_output")");
  app.add_option("--max-cost-usd", o.max_cost_usd, "stop before the job has cost more; needs --prices")
      ->check(in_range(0.0, 1e6));
  app.add_option("--max-requests", o.max_requests, "stop before the job has sent more, retries included")
      ->check(not_negative());
  app.add_option("--deadline", o.deadline, "ask nothing more after this long: 8h, 30m, 90s");
}

Result<Llm> llm_of_job(const Json& config, const std::string& path, const ServerOptions* server) {
  Llm llm;
  try {
    const Json& l = config.at("llm");
    llm::ChatOptions chat;
    chat.api = l.at("api") == "anthropic" ? llm::Api::kAnthropic : llm::Api::kOpenAi;
    chat.model = l.at("model").get<std::string>();
    chat.max_output_tokens = l.at("max_output_tokens").get<int64_t>();
    llm.dispatch.structured = l.at("structured") == "auto";
    chat.temperature = l.at("temperature").get<double>();
    for (const Json& label : config.at("labels")) chat.labels.push_back(label.get<std::string>());
    TRACER_ASSIGN_OR_RETURN(auto prompt, llm::Prompt::make(l.at("prompt_text").get<std::string>(), path, chat.labels));
    llm.prompt = std::make_unique<llm::Prompt>(std::move(prompt));
    if (server != nullptr) TRACER_RETURN_IF_ERROR(set_server(*server, chat, llm.http));
    llm.api = std::make_unique<llm::ChatApi>(std::move(chat));
    if (!l.at("price").is_null())
      llm.dispatch.price =
          llm::Price{l.at("price").at("prompt").get<int64_t>(), l.at("price").at("completion").get<int64_t>()};
  } catch (const Json::exception&) {
    return bad_input(path + ": damaged: its configuration misses what its requests are made of");
  }
  return llm;
}

Result<Llm> make_llm(const LlmOptions& o, const std::vector<std::string>& labels, bool need_url, bool batch) {
  if (o.model.empty() && (need_url || !o.prices.empty())) return missing("--llm-model", "the model that is asked");
  if (o.max_cost_usd && o.prices.empty()) return missing("--prices", "--max-cost-usd cannot count without prices");
  if (o.rpm < 0 || o.tpm < 0) return bad_input("--rpm and --tpm must not be negative");
  Llm llm;
  TRACER_ASSIGN_OR_RETURN(auto deadline, deadline_seconds(o.deadline));
  TRACER_ASSIGN_OR_RETURN(auto prompt, llm::Prompt::read(o.prompt, labels));
  llm.prompt = std::make_unique<llm::Prompt>(std::move(prompt));
  llm::ChatOptions chat;
  chat.api = o.api == "openai" ? llm::Api::kOpenAi : llm::Api::kAnthropic;
  chat.model = o.model;
  chat.labels = labels;
  chat.max_output_tokens = o.max_output_tokens;
  chat.temperature = o.temperature;
  if (need_url) TRACER_RETURN_IF_ERROR(set_server(o.server, chat, llm.http));
  if (!o.prices.empty()) {
    TRACER_ASSIGN_OR_RETURN(auto price, llm::read_price(o.prices, o.model, batch));
    llm.dispatch.price = price;
  }
  llm.api = std::make_unique<llm::ChatApi>(std::move(chat));
  llm.http.max_connections = o.concurrency;
  job::DispatchOptions& d = llm.dispatch;
  d.concurrency = o.concurrency;
  d.most_attempts = static_cast<int>(o.max_attempts);
  d.requests_per_minute = o.rpm;
  d.tokens_per_minute = o.tpm;
  d.give_up_seconds = o.give_up_seconds;
  if (o.max_cost_usd) d.most_cost = static_cast<int64_t>(std::floor(*o.max_cost_usd * llm::kPicodollars));
  d.most_requests = o.max_requests;
  d.deadline_seconds = deadline;
  d.structured = o.structured == "auto";
  llm.config = {{"api", o.api},
                {"model", o.model},
                {"prompt", llm.prompt->digest()},
                {"prompt_text", llm.prompt->text()},
                {"structured", o.structured},
                {"max_output_tokens", o.max_output_tokens},
                {"temperature", o.temperature},
                {"price", d.price ? Json{{"prompt", d.price->prompt}, {"completion", d.price->completion}} : Json()}};
  return llm;
}

}  // namespace tracer::cli
