// A sweep as one SVG picture that needs nothing else: no scripts, fonts or style sheets.
#pragma once

#include <string>
#include <vector>

#include "host/sweep/summary.h"

namespace tracer {

// Coverage against alpha at the largest size: median and span over the seeds, marked by how many were certified. Where
// there are several sizes, below it coverage against traces (logarithmic), a line an alpha, with the fitted curves
// dashed. cells as summarise() gives them, not empty; curves may be. title: any text. Same figures, same bytes.
std::string sweep_svg(const std::string& title, const std::vector<SweepCell>& cells,
                      const std::vector<AlphaCurve>& curves);

}  // namespace tracer
