// A finished sweep for its reader: the table on a terminal, the JSON document.
#pragma once

#include <string>
#include <vector>

#include "host/artifact/artifact.h"
#include "host/sweep/summary.h"

namespace tracer {

// Coverage against alpha at the largest size, then, where there are more, coverage against traces and what the learning
// curves say. test: coverage and agreement are of a test log.
std::string sweep_table(const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves, bool test);

Json summary_json(const std::vector<SweepCell>& cells);
Json curves_json(const std::vector<AlphaCurve>& curves, int64_t largest);

}  // namespace tracer
