// The rows that `tracer explain` looks at: never one that the policy was fitted on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/log/split.h"
#include "host/encoder/source.h"
#include "host/explain/slices.h"
#include "host/explain/source.h"
#include "host/io/row_names.h"
#include "host/route/opened_policy.h"

namespace tracer {

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
                               const Events& events);

}  // namespace tracer
