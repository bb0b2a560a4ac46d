// For benchmarks: coverage against alpha over several seeds and sizes of a log. No policy is written and no ledger
// kept: whoever looks at several seeds and then fits the best one has no certificate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/api/fit.h"
#include "host/api/log.h"
#include "host/io/events.h"
#include "kernels/status.h"

namespace tracer {

struct SweepRequest {
  LogSource source;
  std::string test, test_embeddings;  // fresh labelled rows, read alike; "": none
  std::vector<double> alphas = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};
  int64_t seeds = 5, first_seed = 0;
  std::optional<std::string> curve;  // sizes of a learning curve: "500,1000", or "auto"
  std::optional<double> target;      // coverage: how many more traces would reach it
  double delta = 0.05, min_coverage = 0.05;
  bool simultaneous = false, approximate = false;
  SplitRequest split;  // its seed is not used
  SurrogateRequest surrogate;
  int jobs = 1;  // fits at a time: one to a GPU, or each on a share of the threads
  std::string csv, json_file, svg,
      state;  // files; "-" is standard output, for one of them; state: a stopped sweep goes on
};

struct SweepReport {
  int64_t fits = 0, taken_over = 0;  // taken_over: finished by an earlier run, out of `state`
  double seconds = 0;
  int64_t peak_memory_bytes = 0;
  Document document;
};

// Results are the same for any number of jobs and threads. kBadInput with its field for an option; kBadInput for a
// state of another sweep. Cost: seeds x sizes fits (engine/fit.h), each with its memory.
Result<SweepReport> sweep_log(const Device& device, const SweepRequest& request, const Events& events);

}  // namespace tracer
