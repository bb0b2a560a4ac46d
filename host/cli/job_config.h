// What decides a job's output: it goes on, and is read with its policy and input, only under the same.
#pragma once

#include <string>

#include "host/cli/command.h"
#include "host/encoder/source.h"
#include "host/route/opened_policy.h"

namespace tracer::cli {

// The part of a job's configuration that says which rows there are and what the policy makes of them.
Json rows_config(const LoadedPolicy& loaded, const RowSource& input);

// The first field of `now` that is another one in the job's configuration, in words; "" where there is none.
std::string difference(const Json& now, const Json& job, const std::string& where = "");

}  // namespace tracer::cli
