// A job's configuration, for tests of what is below it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/job/config.h"

namespace tracer::job {

inline JobConfig job_config(std::vector<std::string> labels, const std::string& id = "j") {
  JobConfig config;
  config.rows = {"p", 0.9, 1234, "input", "auto", std::move(labels)};
  config.llm = {LlmApi::kOpenAi, "m", "digest", "{input}", true, 64, 0, std::nullopt};
  config.job_id = id;
  config.audit_seed = 7;
  return config;
}

}  // namespace tracer::job
