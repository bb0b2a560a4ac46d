// One input in words: what the surrogate says, whether that is handled, and what speaks for and against it.
#pragma once

#include <string>

#include "host/artifact/artifact.h"

namespace tracer {

// document: as `tracer inspect --json` prints it.
std::string inspect_text(const Json& document);

}  // namespace tracer
