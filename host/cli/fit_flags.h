// Flags of the commands that fit: how a log is split and what is tried.
#pragma once

#include "host/api/fit.h"
#include "host/cli/flags.h"

namespace tracer::cli {

// --split, --group-by, --certify-fraction, --unit, --folds.
void add_split_options(Flags& app, SplitRequest& split, std::string& group_by);
// --members, --families, --gate-share.
void add_member_options(Flags& app, SurrogateRequest& surrogate);

}  // namespace tracer::cli
