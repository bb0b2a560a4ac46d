// The files of batch APIs, for those who upload by hand (or run `vllm run-batch`): pending asks out, answers in.
//
// Out, a line a request: OpenAI {"custom_id","method":"POST","url":"/v1/chat/completions","body"}, Anthropic
// {"custom_id","params"}. In: OpenAI {"custom_id","response":{"status_code","body"},"error"} (a 4xx may come with a
// null error), Anthropic {"custom_id","result":{"type","message"|"error"}}, in any order. custom_id is JOB-ASK, and
// JOB-ASK-c of a correction.
#pragma once

#include <cstdint>
#include <limits>
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
inline constexpr int64_t kBatchBytes = 200'000'000;

struct RequestLimits {
  int64_t lines = kBatchLines;
  int64_t bytes = kBatchBytes;
  int64_t cost = std::numeric_limits<int64_t>::max();  // picodollars, at the most that requests may cost
};
struct Requests {
  std::vector<int64_t> asks;  // in the file, in its order
  int64_t most_cost = 0;
  bool over_cost = false;  // one more would have passed the limit
};
enum class RequestForm {
  kLines,    // JSONL: OpenAI's upload, and what people upload by hand
  kOneBody,  // {"requests": [...]}: what Anthropic's API takes
};
// Pending asks above `after` into one file, as many as the limits hold (at least one, where the cost permits it). The
// file appears whole; without asks there is none.
Result<Requests> write_requests(Store& store, const llm::ChatApi& api, const llm::Prompt& prompt,
                                const llm::Dialect& dialect, const std::optional<llm::Price>& price,
                                const std::string& path, RequestForm form, const RequestLimits& limits, int64_t after);

struct BatchOut {
  std::vector<std::string> files;
  int64_t requests = 0;
};
// Every pending ask, into `path`, and where one file cannot hold them into path.2, path.3, ... too.
Result<BatchOut> write_batch(Store& store, const llm::ChatApi& api, const llm::Prompt& prompt,
                             const llm::Dialect& dialect, const std::string& path, const RequestLimits& limits = {});

struct BatchIn {
  int64_t lines = 0, answered = 0, unparsed = 0, failed = 0;
  int64_t again = 0;                    // expired, or refused for now: they stay pending
  int64_t settled = 0;                  // had an answer already; nothing changes
  std::optional<llm::Dialect> dialect;  // refused as asked: the way to try next; such lines count as `again`
  bool quota = false;                   // a line says that the account is spent
  std::string error;                    // of the last line that is no answer
  BatchIn& operator+=(const BatchIn& o);
};
// Takes in one file of results or errors, in one transaction: all of it or nothing. kBadInput names file and line: no
// such document, or a custom_id of another job.
Result<BatchIn> read_batch(Store& store, const llm::ChatApi& api, const std::optional<llm::Price>& price,
                           const std::string& path, double now);
// The same, within the caller's transaction. asked: as the requests were.
Result<BatchIn> take_results(Store& store, const llm::ChatApi& api, const std::optional<llm::Price>& price,
                             const std::string& path, double now, const std::optional<llm::Dialect>& asked);
// Whether the first line is an answer to this job.
Result<bool> is_of_job(const Store& store, const std::string& path);

}  // namespace tracer::job
