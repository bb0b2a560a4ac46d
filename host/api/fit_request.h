// A FitRequest as the engine's options. Not installed.
#pragma once

#include "engine/fit.h"
#include "host/api/fit.h"

namespace tracer {

// What a log is split by; kBadInput with its field if the choices contradict each other. group_by: the log's group key.
Status read_split(const SplitRequest& request, const std::string& group_by, FitOptions& options);
// What is tried; kBadInput with its field for an unknown name, or if a member or family that is always part is missing.
Status read_surrogate(const SurrogateRequest& request, FitOptions& options);
// All of a request but its labels, descriptions and texts, which belong to the log.
Result<FitOptions> fit_options(const FitRequest& request, const std::string& group_by);

}  // namespace tracer
