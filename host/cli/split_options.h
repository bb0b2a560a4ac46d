// How a log is split, and what its unit is: the options of the commands that fit.
#pragma once

#include <string>

#include "engine/fit.h"
#include "host/cli/flags.h"
#include "kernels/status.h"

namespace tracer::cli {

struct SplitFlags {
  std::string group_by;
  std::string split = "auto";
  std::string unit = "auto";
};

// --split, --group-by, --certify-fraction, --unit, --folds; those that need no reading go straight into fit. Both must
// live as long as the application.
void add_split_options(Flags& app, SplitFlags& flags, FitOptions& fit);

// Puts the flags into fit; a usage error in words (kBadInput) where they contradict each other.
Status read_split_flags(SplitFlags flags, FitOptions& fit);

}  // namespace tracer::cli
