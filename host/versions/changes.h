// Two policies on the same rows: what the second handles more or less than the first, for each label of the teacher.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/challenger.h"
#include "host/artifact/artifact.h"
#include "host/versions/rows.h"
#include "kernels/backend.h"

namespace tracer {

// A policy and what it handles under; no certificate, or one that is refused: it handles nothing.
struct PolicySide {
  const Policy* policy = nullptr;
  const Certificate* certificate = nullptr;
};

struct LabelChange {
  std::string label;  // the teacher's; "" with `answered` false: rows without an answer
  bool answered = true;
  int64_t rows = 0;
  int64_t handled[2] = {0, 0}, agree[2] = {0, 0};  // before, after
};

struct Change {
  int64_t rows = 0;
  int64_t handled[2] = {0, 0}, agree[2] = {0, 0};
  std::vector<LabelChange> labels;        // by name; rows without an answer last
  std::vector<std::string> gained, lost;  // labels that only the second, only the first policy can answer
};

// Canonical scores of the rows, with the teacher's answers as indices into the policy's labels.
Result<std::vector<AuditRow>> score_kept(Backend& backend, const Policy& policy, const KeptRows& rows);

// Scores of both sides as score_kept gave them (any for a side without certificate).
Change change_on(const PolicySide& before, const std::vector<AuditRow>& scores_before, const PolicySide& after,
                 const std::vector<AuditRow>& scores_after, const KeptRows& rows);
// Labels gained and lost alone.
void compare_labels(const Policy& before, const Policy& after, Change& change);

// {"rows", "coverage": {"before","after"}, "teacher_agreement", "labels_gained", "labels_lost", "labels": [...]}
Json change_json(const Change& change);

}  // namespace tracer
