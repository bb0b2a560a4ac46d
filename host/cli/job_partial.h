// `tracer job export --partial`: the lines of a job's output that rows without an answer hold back.
#pragma once

#include <string>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/encoder/source.h"

namespace tracer::cli {

struct PartialOptions {
  bool wanted = false;
  std::string policy;  // folder
  RowSource input;     // its rows: set by whoever has `input`
};
// input: the option that names the run's IN. Returns --partial.
Flag* add_partial_options(Flags& app, PartialOptions& options, Flag* input);

// Writes them to `output`, and says after how much of the job's output they belong. Reads the job only, which may be
// running. job: its .job file.
int export_partial(const Common& common, const std::string& job, const std::string& output, PartialOptions options);

}  // namespace tracer::cli
