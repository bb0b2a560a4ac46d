// API keys: from the environment or a file that only its owner can read; never from the command line.
#pragma once

#include <string>

#include "kernels/status.h"

namespace tracer::http {

struct KeySource {
  std::string file;         // a path, or "": the environment
  std::string environment;  // name of the variable
};

// The key without whitespace around it, or "" when the variable is not set (local servers want none). kBadInput: a file
// that its group or others can read or write, an empty one, a key with a control character. The message never holds it.
Result<std::string> read_key(const KeySource& source);

}  // namespace tracer::http
