// A sweep as a CSV table.
#pragma once

#include <string>
#include <vector>

#include "engine/study/sweep.h"

namespace tracer {

// A header, then a line for each (traces, seed, alpha) in the order of runs. Same figures, same bytes: numbers are the
// shortest text that reads back as the same double. Empty where a figure is undefined.
std::string sweep_csv(const std::vector<SweepRun>& runs);

}  // namespace tracer
