// explain.json: everything that explains a policy on rows it never learned from. Format: docs/explain.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/study/regions.h"
#include "host/artifact/artifact.h"
#include "host/explain/boundary.h"
#include "host/explain/reasons.h"
#include "host/explain/slices.h"
#include "host/explain/suspects.h"
#include "host/io/row_names.h"

namespace tracer {

// What the sections are counted from; all of n rows.
struct Explanation {
  const Policy* policy = nullptr;
  std::span<const std::string> reference_ids;  // as in Artifact
  std::string digest;                          // of the artifact; "": not written yet
  const Certificate* certificate = nullptr;
  std::vector<ExplainedRow> rows;
  Matrix<float> x;     // n x d unit rows
  io::RowNames names;  // input: "" where the row has no text
  Reasons reasons;
  Regions regions;
  std::vector<SliceKey> slice_keys;
};

// Fills rows, reasons and regions from policy, certificate and x; names and slice_keys are the caller's. teacher: n,
// as explain_rows() takes it.
Status explain(Backend& backend, const std::vector<int32_t>& teacher, Explanation& e);

// The rows that concern a label, being the teacher's or the surrogate's answer; regions are cleared, for they are of
// all rows.
void keep_label(Explanation& e, int32_t label);

Json explanation_json(const Explanation& e);

// One row, for tables of rows: line, id, decision, why, labels, probabilities, region.
Json explained_row_json(const Explanation& e, int64_t i);

}  // namespace tracer
