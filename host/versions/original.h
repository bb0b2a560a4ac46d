// Where the log lies that a policy was fitted on.
#pragma once

#include <string>

namespace tracer {

struct OriginalLog {
  std::string traces;      // "": where the policy says that the log was
  std::string embeddings;  // "": where the policy says that the vectors were, else as for other traces
};

}  // namespace tracer
