// Two policies row by row: what the later one handles and the earlier did not, what it no longer handles, and why.
#pragma once

#include <string>
#include <vector>

#include "host/explain/explained_rows.h"

namespace tracer {

// The earlier policy on the rows of an explanation.
struct Earlier {
  const Policy* policy = nullptr;
  const Certificate* certificate = nullptr;
  std::string folder, digest;
  std::vector<ExplainedRow> rows;  // teacher: index into its own labels
  Causes causes;
};

// Fills rows and causes. x: unit rows; teacher: index into the earlier policy's labels, -1 unknown to it; texts as for
// explain_rows().
Status explain_earlier(Backend& backend, HostMatrix<const float> x, const std::vector<int32_t>& teacher,
                       const std::vector<std::string>& texts, Earlier& e);

// "since" of explain.json. Rows that either policy learned from (the vector is a reference's) are left out, since one
// that learned a row handles it too easily. A label, by the teacher's name, or a region is listed where some row was
// gained or lost; p: exact McNemar test of gained against lost (no change: one is as likely as the other), corrected
// over all labels and regions (Holm), so flags at kFlagLevel hold together. teacher_names: of each row of e.
Json since_json(const ExplainedRows& e, const Earlier& earlier, const std::vector<std::string>& teacher_names);

}  // namespace tracer
