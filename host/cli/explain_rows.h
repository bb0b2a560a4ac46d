// The rows that `tracer explain` looks at: never one that the policy was fitted on.
#pragma once

#include <string>
#include <vector>

#include "host/cli/inputs.h"
#include "host/cli/policy_input.h"
#include "host/explain/slices.h"
#include "host/io/row_names.h"

namespace tracer::cli {

struct ExplainSource {
  InputOptions input;    // traces: "" for the log that the policy was fitted on
  std::string group_by;  // the key that fit was given, where it kept groups together
  std::vector<std::string> slice_keys;
};

struct UnseenRows {
  std::string path;
  bool certify = false;          // the certify rows of the policy's own log
  std::vector<int32_t> teacher;  // index into the policy's labels; -1: not one of them
  io::RowNames names;
  std::vector<SliceKey> slices;
  Matrix<float> x;  // as read
};

// Of the policy's own log, wherever it lies, the certify rows: the split is drawn again as `fit` drew it and checked
// against the rows that the policy holds. Of another file, all rows. kBadInput where the log has changed or is gone, or
// where its split cannot be drawn again (a policy that `update` deployed learned from all of it).
Result<UnseenRows> read_unseen(const ExplainSource& source, const LoadedPolicy& loaded, int threads,
                               const Console& console);

}  // namespace tracer::cli
