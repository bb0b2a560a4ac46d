// A run of a sweep as a JSON object: a line of the state, an entry of the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/study/sweep.h"
#include "kernels/status.h"

namespace tracer {

nlohmann::ordered_json run_json(const SweepRun& run);
// Gives back every figure exactly. kBadInput, beginning with `where`, for anything that run_json does not write.
Result<SweepRun> parse_run(const nlohmann::ordered_json& json, const std::string& where);

}  // namespace tracer
