// The map of a report: rows as points in the plane, in two layouts.
#pragma once

#include "host/explain/document.h"

namespace tracer {

inline constexpr int64_t kMostMapRows = 10000;
inline constexpr int64_t kMapExtent = 4095;          // coordinates are whole numbers from 0 to this
inline constexpr int64_t kMapTextBytes = 1'000'000;  // of all excerpts of texts together, as they are written

// Columns of at most kMostMapRows of the explained rows (of more a sample, the same for the same number of rows):
// {"line", "id" (null where no row has one), "text" (excerpts), "teacher" and "surrogate" (into "labels"; -1: unknown),
// "labels", "why" (into "whys"), "whys", "score", "x", "y" (engine/neighbour_map.h), "px", "py" (the first two
// principal components), "share" (of the variance that each holds)}. Deterministic for any number of threads. Memory:
// two copies of the vectors of the rows shown. Cost: engine/neighbour_map.h.
Result<Json> report_map(Backend& backend, const Explanation& e);

}  // namespace tracer
