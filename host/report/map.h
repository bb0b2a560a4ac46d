// The map of a report: rows as points in the plane, in two layouts.
#pragma once

#include <string>
#include <vector>

#include "host/explain/explained_rows.h"

namespace tracer {

inline constexpr int64_t kMostMapRows = 10000;
inline constexpr int64_t kMapExtent = 4095;          // coordinates are whole numbers from 0 to this
inline constexpr int64_t kMapTextBytes = 1'000'000;  // of all excerpts of texts together, as they are written

// What the dots are, all of n rows.
struct MapRows {
  HostMatrix<const float> x;  // n x d unit rows
  const io::RowNames* names = nullptr;
  const std::vector<std::string>* labels = nullptr;
  std::vector<int32_t> teacher, surrogate;  // into labels; -1: unknown
  std::vector<int32_t> why;                 // into whys; 0: handled
  std::vector<std::string> whys;
  std::vector<double> score;
  std::vector<int32_t> region;  // empty: none
};
MapRows map_rows(const ExplainedRows& e);

// Columns of at most kMostMapRows of the rows (of more a sample, the same for the same number of rows):
// {"line", "id" (null where no row has one), "text" (excerpts), "teacher" and "surrogate" (into "labels"; -1: unknown),
// "labels", "why" (into "whys"), "whys", "region" (null: none), "score", "x", "y" (engine/study/neighbour_map.h), "px",
// "py" (the first two principal components), "share" (of the variance that each holds)}. Deterministic for any number
// of threads. Memory: two copies of the vectors of the rows shown. Cost: engine/study/neighbour_map.h.
Result<Json> report_map(Backend& backend, const MapRows& rows);

}  // namespace tracer
