// What decides a job's output. A job goes on, and is read with its policy and input, only under the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/llm/options.h"
#include "host/llm/prices.h"
#include "kernels/status.h"

namespace tracer::job {

// Which rows there are, and what the policy makes of them.
struct RowsConfig {
  std::string policy;  // its digest
  double alpha = 0;
  std::optional<int64_t> input_bytes;  // of the input's file; absent: it had no size
  std::string input_key, format;       // as in RowSource
  std::vector<std::string> labels;
};

// What the LLM is asked, and what for.
struct LlmConfig {
  LlmApi api = LlmApi::kOpenAi;
  std::string model;
  std::string prompt;       // the digest of template and labels
  std::string prompt_text;  // the template
  bool structured = true;
  int64_t max_output_tokens = 0;
  double temperature = 0;
  std::optional<llm::Price> price;
};

struct JobConfig {
  RowsConfig rows;
  double audit_rate = 0;
  LlmConfig llm;
  std::string job_id;  // names the occurrence of a row, whatever other jobs read the row
  int64_t audit_seed = 0;
};

// As it lies in the job's file: one line of JSON. Its fields are frozen (docs/dispatch.md).
std::string config_text(const JobConfig& config);
// kBadInput, beginning with `where`, if the text is no such document.
Result<JobConfig> parse_config(const std::string& text, const std::string& where);

// The first field of `now` that is another one in the job's configuration, in words: "llm.temperature: the job has 0.0,
// now it is 1.0". "" if there is none. What the job was given once and for all (job_id, audit_seed) is not looked at.
std::string difference(const JobConfig& now, const JobConfig& job);
std::string difference(const RowsConfig& now, const RowsConfig& job);

}  // namespace tracer::job
