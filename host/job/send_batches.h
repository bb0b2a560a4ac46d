// What `tracer run --batch` and `tracer job cancel` do at the server.
#pragma once

#include <string>

#include "host/io/events.h"
#include "host/job/llm.h"
#include "host/job/stop_reason.h"
#include "host/job/store.h"

namespace tracer::job {

struct BatchesEnd {
  StopReason why = StopReason::kNone;
  std::string said;  // by the server
};

// Sends what is pending in batches until all is settled, a budget is spent, the caller stops it or a cancellation ends
// it.
Result<BatchesEnd> send_batches(Store& store, const std::string& job, const Llm& llm, double poll_seconds,
                                const Events& events);
// Ends the open batches; what they had answered is taken in.
Result<BatchesEnd> cancel_batches(Store& store, const std::string& job, const Llm& llm, double poll_seconds,
                                  const Events& events);

}  // namespace tracer::job
