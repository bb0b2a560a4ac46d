// `tracer job cancel`.
#pragma once

#include <CLI/CLI.hpp>

namespace tracer::cli {

void add_job_cancel(CLI::App& job, int& exit_code);

}  // namespace tracer::cli
