// Rows that a policy never learned from with all that was found of them, and the sections of explain.json that they
// give. Format: docs/explain.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/study/regions.h"
#include "host/artifact/artifact.h"
#include "host/explain/boundary.h"
#include "host/explain/causes.h"
#include "host/explain/slices.h"
#include "host/explain/suspects.h"
#include "host/io/row_names.h"

namespace tracer {

// What the sections are counted from; all of n rows.
struct ExplainedRows {
  const Policy* policy = nullptr;
  std::span<const std::string> reference_ids;  // as in Artifact
  std::string digest;                          // of the artifact; "": not written yet
  const Certificate* certificate = nullptr;
  std::vector<ExplainedRow> rows;
  Matrix<float> x;     // n x d unit rows
  io::RowNames names;  // input: "" where the row has no text
  Causes causes;
  Regions regions;
  std::vector<SliceKey> slice_keys;
};

// Fills rows, causes and regions from policy, certificate and x; names and slice_keys are the caller's. teacher: n,
// as explain_rows() takes it.
Status explain(Backend& backend, const std::vector<int32_t>& teacher, ExplainedRows& e);

// The rows that concern a label, being the teacher's or the surrogate's answer; regions are cleared, for they are of
// all rows.
void keep_label(ExplainedRows& e, int32_t label);

// All of explain.json but where the rows are from, the learning curve and the earlier policy.
Json sections_json(const ExplainedRows& e);

// One row, for tables of rows: line, id, decision, why, labels, probabilities, region.
Json explained_row_json(const ExplainedRows& e, int64_t i);

}  // namespace tracer
