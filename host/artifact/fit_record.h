// What a fit did, as JSON: parts of `fit --json` and of the artifact.
#pragma once

#include "engine/fit.h"
#include "host/artifact/artifact.h"
#include "host/io/traces.h"

namespace tracer {

Json split_json(const FitResult& r);
// "descriptions" of the manifest's "run": what was given, and how many labels were learned from it.
Json described_json(const Descriptions& descriptions, int64_t labels);
// The manifest's "run": what was asked for and tried.
Json run_json(const FitResult& r, const FitOptions& o);

// What a fit was asked to try beyond the usual, in the manifest's "run".
void add_asked(const Choices& asked, Json& run);
// The same, read from a manifest's "run". What is not there as it should be was not asked for.
Choices asked_of(const Json& run);

Json frontier_json(const Policy& policy);
// The part explain.json of a policy: what the fit found in its log, which are the dependence check, warnings and
// suspects. (The file that `tracer explain` writes is another: host/explain/explanation.h.)
Json findings_json(const FitResult& r, const io::TraceFile& file);

}  // namespace tracer
