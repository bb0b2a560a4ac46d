// A job's way through its input: rows are routed, asked about, and written in order.
#pragma once

#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer::job {

// kBadInput with its field if options clash. The output is not looked at.
Status check_request(const JobRequest& request);

// As host/api/job.h says of run_job().
Result<JobEnd> run(Backend& backend, const JobRequest& request, const Events& events);

}  // namespace tracer::job
