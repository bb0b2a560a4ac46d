// Which rows explain a policy, and what is explained of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/encoder/source.h"

namespace tracer {

struct ExplainSource {
  RowSource input;       // traces: "" for the log that the policy was fitted on
  std::string group_by;  // the key that fit was given, where it kept groups together
  std::vector<std::string> slice_keys;
  bool curve = false;           // fit parts of the log
  std::optional<int64_t> more;  // traces to come, of which the curve tells; default: as many as there are
  std::string since;            // folder of an earlier policy; "": the version before, where there are versions
};

}  // namespace tracer
