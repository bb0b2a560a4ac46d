// `tracer job cancel`.
#pragma once

#include "host/cli/flags.h"

namespace tracer::cli {

void add_job_cancel(Flags& job, int& exit_code);

}  // namespace tracer::cli
