// An explanation in the lines that matter.
#pragma once

#include <string>

#include "host/artifact/artifact.h"

namespace tracer::cli {

// document: as explanation_json made it, with "rows" beside.
std::string explain_text(const Json& document);

}  // namespace tracer::cli
