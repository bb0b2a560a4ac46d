// `tracer run --dry-run`.
#pragma once

#include "host/cli/command.h"
#include "host/cli/job_rows.h"
#include "host/cli/llm_options.h"
#include "host/route/scoring.h"

namespace tracer::cli {

// Prints what the job would cost; nothing is sent or written. Returns the exit code.
int price_job(const Console& console, Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
              const JobRows& rows, const Llm& llm);

}  // namespace tracer::cli
