// What jobs come to. Plain types: the library gives them to programs as they are (host/api/job.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tracer {

// Money is in picodollars (1e-12 USD): sums have no rounding.
struct JobFigures {
  bool finished = false;   // every row has its final line
  bool cancelled = false;  // nothing more is asked
  int64_t routed = 0;      // rows
  // Rows by where their answer comes from: `cache` is the LLM's answer to an equal text of an earlier row.
  int64_t by_surrogate = 0, by_llm = 0, by_cache = 0, without_answer = 0;
  int64_t deferred = 0, audited = 0;  // rows that the LLM is asked about
  // Different texts for the LLM.
  int64_t asks = 0, answered = 0, failed = 0, pending = 0;
  int64_t batches = 0, in_batches = 0;  // open at a batch API, and the pending texts in them
  int64_t requests = 0, retries = 0, corrections = 0, lost = 0, in_flight = 0;
  int64_t unknown_cost = 0;  // requests that may have been paid for, and nothing says how much
  int64_t prompt_tokens = 0, completion_tokens = 0;
  std::optional<int64_t> cost;       // of the requests whose cost is known; absent: no prices were given
  std::optional<int64_t> most_cost;  // with the most that the other requests may have cost
};

enum class JobOutcome {
  kComplete,  // every row is answered
  kPartial,   // some rows are not, or could not be read
  kBudget,    // a budget or the account is spent
  kUnserved,  // the server refuses us or does not answer
};

struct JobEnd {
  JobOutcome outcome = JobOutcome::kComplete;
  JobFigures figures;
  std::string policy;  // its digest
  double alpha = 0, threshold = 0;
  int64_t bad_rows = 0;  // could not be read, and have no line
  std::vector<std::string> warnings;
  std::string stopped;  // why nothing more was sent; "": it was
  std::string problem;  // a line on that for people; "": none. Both name options by marks (kernels/status.h)
};

struct JobPrice {
  int64_t rows = 0, handled = 0, to_llm = 0;
  int64_t requests = 0;                                        // different texts
  int64_t prompt_tokens_about = 0, prompt_tokens_at_most = 0;  // without retries and corrections
  std::optional<double> cost_usd_about, cost_usd_at_most;      // absent: no prices were given
};

struct JobTraces {
  int64_t traces = 0;
  int64_t without_answer = 0;  // rows that may still be answered, left out
};

struct JobRest {
  std::string output;                         // of the job
  int64_t prefix_rows = 0, prefix_bytes = 0;  // of it, before these lines
  int64_t lines = 0;
  int64_t without_answer = 0;  // rows left out
};

struct JobCancelled {
  int64_t not_asked = 0;         // texts without an answer
  int64_t batches_ended = 0;     // at the server
  int64_t answered_in_them = 0;  // texts
};

struct JobBatchFiles {
  int64_t requests = 0;
  std::vector<std::string> files;
};

// Lines of result files.
struct JobBatchAnswers {
  int64_t lines = 0, answered = 0;
  int64_t unparsed = 0;        // no label: asked about once more
  int64_t failed = 0;          // for good
  int64_t again = 0;           // expired, or refused for now: still to be asked
  int64_t settled_before = 0;  // had an answer already: nothing changed
};

}  // namespace tracer
