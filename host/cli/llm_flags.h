// Flags that say which LLM is asked, how, and for how much.
#pragma once

#include <string>

#include "host/api/job.h"
#include "host/cli/flags.h"

namespace tracer::cli {

// --llm-url, its key and its timeouts.
void add_server_options(Flags& app, LlmServer& server);

struct LlmFlags {
  LlmOptions options;
  std::string api = "openai", structured = "auto", deadline;

  // Once the flags are read: sets the options that these words stand for. "", or a usage error.
  std::string settle();
};
void add_llm_options(Flags& app, LlmFlags& flags);

}  // namespace tracer::cli
