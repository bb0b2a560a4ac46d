// Coverage against alpha of a policy, and what `fit` noted of its log, as JSON and in words.
#pragma once

#include <string>

#include "host/artifact/artifact.h"

namespace tracer {

Json report_json(const Artifact& artifact);
std::string report_text(const Artifact& artifact);

}  // namespace tracer
