// What a fit did, as JSON: parts of `fit --json` and of the artifact.
#pragma once

#include "engine/fit.h"
#include "host/artifact/artifact.h"
#include "host/io/traces.h"

namespace tracer::cli {

Json split_json(const FitResult& r);
// The manifest's "run": what was asked for and tried.
Json run_json(const FitResult& r, const FitOptions& o);
Json frontier_json(const Policy& policy);
// explain.json: dependence check, warnings, suspects.
Json explain_json(const FitResult& r, const io::TraceFile& file);

}  // namespace tracer::cli
