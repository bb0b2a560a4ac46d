// What callers ask of jobs. Plain types: the library gives them to programs as they are (host/api/job.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/encoder/source.h"
#include "host/llm/options.h"
#include "host/route/policy_options.h"

namespace tracer {

// Every row of an input is to be answered: by the surrogate, or by the LLM if the policy defers the row.
struct JobRequest {
  PolicyOptions policy;
  RowSource input;  // a file: a job that goes on reads the file again
  LlmOptions llm;
  std::string output;                 // the file of the answers; the job's state is kept beside it, in OUTPUT.job
  double audit_rate = 0;              // share of all rows that the LLM is asked about whatever the policy says
  std::optional<int64_t> audit_seed;  // of the picks; absent: random for each job
  bool resume = false;                // go on with the job of this output, if there is one
  bool retry_errors = false;          // with resume: ask again if the LLM gave no answer
  bool hold = false;                  // route everything, send nothing
  bool batch = false;                 // ask through the server's batch API
  double poll_seconds = 60;           // with batch: between two looks at the batches
};

// A job is named by its output or by its .job file in all that follows.
struct JobExportRequest {
  std::string job;
  std::string output;   // "-": standard output
  std::string vectors;  // of the job's input, one row a data line; "": none. The traces' go beside `output`
  std::string input;    // with vectors: the job's input; "": every row of it could be read
};

struct JobPartialRequest {
  std::string job;
  std::string output;  // "-": standard output
  std::string policy;  // the folder
  RowSource input;     // the run's; how it is read, the job knows
};

struct JobCancelRequest {
  std::string job;
  LlmServer server;  // of the job's batches; it may be left empty if the job has none
  double poll_seconds = 10;
  double wait_seconds = 600;  // for the process that runs the job
};

struct JobBatchImport {
  std::string job;
  std::vector<std::string> results;  // files of a batch API, in any order
};

}  // namespace tracer
