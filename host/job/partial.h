// The lines of a job's output that rows without an answer hold back.
#pragma once

#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer::job {

// Writes the lines to the request's output, and says after how much of the job's output they belong. Only reads the
// job, which may be running. What the surrogate says is computed again.
Result<JobRest> export_partial(Backend& backend, const JobPartialRequest& request, const Events& events);

}  // namespace tracer::job
