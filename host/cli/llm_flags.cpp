#include "host/cli/llm_flags.h"

#include "host/io/plain_text.h"

namespace tracer::cli {

void add_server_options(Flags& app, LlmServer& o) {
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

std::string LlmFlags::settle() {
  options.api = api == "openai" ? LlmApi::kOpenAi : LlmApi::kAnthropic;
  options.structured = structured == "auto";
  if (deadline.empty()) return "";
  const int64_t ms = duration_ms(deadline);
  if (ms <= 0) return "--deadline: expected a duration such as 8h, 30m or 90s, found \"" + deadline + "\"";
  options.deadline_seconds = static_cast<double>(ms) / 1000;
  return "";
}

void add_llm_options(Flags& app, LlmFlags& flags) {
  LlmOptions& o = flags.options;
  add_server_options(app, o.server);
  app.add_option("--llm-model", o.model, "model that answers deferred rows");
  app.add_option("--llm-api", flags.api, "what the server speaks: chat completions, or Anthropic's messages")
      ->check(one_of({"openai", "anthropic"}))
      ->capture_default_str();
  app.add_option("--prompt", o.prompt, "template with {labels} and {input}; above a line --- the system's part");
  app.add_option("--structured", flags.structured,
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
  app.add_option("--deadline", flags.deadline, "ask nothing more after this long: 8h, 30m, 90s");
}

}  // namespace tracer::cli
