// The files of batch APIs, for those who upload by hand (or run `vllm run-batch`): pending asks out, answers in.
//
// Out, a line a request: OpenAI {"custom_id","method":"POST","url":"/v1/chat/completions","body"}, Anthropic
// {"custom_id","params"}. In: OpenAI {"custom_id","response":{"status_code","body"},"error"} (a 4xx may come with a
// null error), Anthropic {"custom_id","result":{"type","message"|"error"}}, in any order. custom_id is JOB-ASK, and
// JOB-ASK-c of a correction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/job/store.h"
#include "host/llm/chat_api.h"
#include "host/llm/prompt.h"
#include "kernels/status.h"

namespace tracer::job {

// What one file may hold: OpenAI's limits, which are below Anthropic's.
inline constexpr int64_t kBatchLines = 50'000;
inline constexpr int64_t kBatchBytes = int64_t{200} << 20;

struct BatchOut {
  std::vector<std::string> files;
  int64_t requests = 0;
};
// Every pending ask, into `path`, and where one file cannot hold them into path.2, path.3, ... too. Each appears whole
// or not at all. most_lines, most_bytes: of a file.
Result<BatchOut> write_batch(Store& store, const llm::ChatApi& api, const llm::Prompt& prompt,
                             const llm::Dialect& dialect, const std::string& path, int64_t most_lines = kBatchLines,
                             int64_t most_bytes = kBatchBytes);

struct BatchIn {
  int64_t lines = 0, answered = 0, unparsed = 0, failed = 0;
  int64_t again = 0;    // expired, or refused for now: they stay pending
  int64_t settled = 0;  // had an answer already; nothing changes
};
// Takes in one file of results or errors, in one transaction: all of it or nothing. kBadInput names file and line: no
// such document, or a custom_id of another job.
Result<BatchIn> read_batch(Store& store, const llm::ChatApi& api, const std::optional<llm::Price>& price,
                           const std::string& path, double now);

}  // namespace tracer::job
