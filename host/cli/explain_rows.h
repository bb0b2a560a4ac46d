// The rows that `tracer explain` looks at: never one that the policy was fitted on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/log/split.h"
#include "host/cli/inputs.h"
#include "host/cli/policy_input.h"
#include "host/explain/slices.h"
#include "host/io/row_names.h"

namespace tracer::cli {

struct ExplainSource {
  InputOptions input;    // traces: "" for the log that the policy was fitted on
  std::string group_by;  // the key that fit was given, where it kept groups together
  std::vector<std::string> slice_keys;
  bool curve = false;           // fit parts of the log
  std::optional<int64_t> more;  // traces to come, of which the curve tells; default: as many as there are
  std::string since;            // folder of an earlier policy; "": the version before, where there are versions
};

// The whole log that a policy was fitted on, with the split as `fit` drew it.
struct OwnLog {
  Traces traces;
  Matrix<float> x;  // as read
  Split split;
};

struct UnseenRows {
  std::string path;
  bool certify = false;             // the certify rows of the policy's own log
  std::vector<int32_t> teacher;     // index into the policy's labels; -1: not one of them
  std::vector<std::string> labels;  // of the file
  std::vector<int32_t> label;       // of each row, into labels
  std::optional<OwnLog> log;        // where `certify` and source.curve
  io::RowNames names;
  std::vector<SliceKey> slices;
  Matrix<float> x;  // as read
};

// Of the policy's own log, wherever it lies, the certify rows: the split is drawn again as `fit` drew it and checked
// against the rows that the policy holds. Of another file, all rows. kBadInput where the log has changed or is gone, or
// where its split cannot be drawn again (a policy that `update` deployed learned from all of it).
Result<UnseenRows> read_unseen(const ExplainSource& source, const LoadedPolicy& loaded, const Backend& backend,
                               const Console& console);

}  // namespace tracer::cli
