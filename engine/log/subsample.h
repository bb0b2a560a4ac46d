// Smaller logs out of one log, nested, for learning curves.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/log/split.h"
#include "engine/log/traces.h"

namespace tracer {

// The rows, ascending, of a log of n rows drawn from this one as a split of that kind needs it: rows one by one
// (kRows); whole runs of kRunRows neighbours in the order of the file (kRuns, kAuto) or of time (kTime, which needs a
// timestamp on every row), the last run cut short; whole groups until there are at least n rows (kGroups, which needs
// groups). Drawn all over the log: its first n rows would hold a few labels where it is sorted, and one day where it is
// long. Of one seed, a smaller draw lies inside every larger one. All rows when n >= traces.rows(). Cost: O(rows log
// rows).
std::vector<int32_t> subsample(const Traces& traces, SplitKind kind, int64_t n, uint64_t seed);

// The log of these rows (ascending). Labels stay complete; groups are numbered afresh.
Traces take_rows(const Traces& traces, const std::vector<int32_t>& rows);

}  // namespace tracer
