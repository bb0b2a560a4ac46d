// What a job would cost.
#pragma once

#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer::job {

// Nothing is sent or written; the request's output may be "". Routes every row: the time of a run without the LLM's.
// Memory: 8 bytes a different text for the LLM, and a batch of rows.
Result<JobPrice> price(Backend& backend, const JobRequest& request, const Events& events);

}  // namespace tracer::job
