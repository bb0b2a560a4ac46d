// What `tracer run --batch` and `tracer job cancel` do at the server.
#pragma once

#include <string>

#include "host/cli/command.h"
#include "host/cli/llm_options.h"
#include "host/job/stop_reason.h"
#include "host/job/store.h"

namespace tracer::cli {

struct BatchesEnd {
  job::StopReason why = job::StopReason::kNone;
  std::string said;  // by the server
};

// Sends what is pending in batches until all is settled, a budget is spent or a signal or a cancellation ends it.
Result<BatchesEnd> send_batches(const Console& console, job::Store& store, const std::string& job, const Llm& llm,
                                double poll_seconds);
// Ends the open batches; what they had answered is taken in.
Result<BatchesEnd> cancel_batches(const Console& console, job::Store& store, const std::string& job, const Llm& llm,
                                  double poll_seconds);

}  // namespace tracer::cli
