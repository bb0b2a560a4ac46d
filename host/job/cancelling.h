// Ends a job from outside: the process that runs the job, and its batches at the server.
#pragma once

#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/status.h"

namespace tracer::job {

// Asks the process that has the job, if there is one, to end it, and waits for that; then marks the job as cancelled
// and ends its batches, whose answers so far are taken in. kIo if the process or the batches have not ended; the job
// stays marked then. kInterrupted if the caller stops the wait.
Result<JobCancelled> cancel(const JobCancelRequest& request, const Events& events);

}  // namespace tracer::job
