// Ending a job for good: a flag in its state, and, where a process is at work on it, a file beside that it watches.
#pragma once

#include <string>

#include "host/job/store.h"

namespace tracer::job {

// The file of a wish to cancel, JOB.cancel. By path of the job.
Status request_cancel(const std::string& job);
bool cancel_requested(const std::string& job);

// The flag in the state. Setting it also takes the wish away.
Status set_cancelled(Store& store, const std::string& job, bool cancelled);
Result<bool> is_cancelled(Store& store);

// Whether a process has the job; false also where there is none.
bool in_use(const std::string& job);

}  // namespace tracer::job
