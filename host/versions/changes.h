// Two policies on the same rows: what the second handles more or less than the first, for each label of the teacher and
// for each region of the embedding space.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/challenger.h"
#include "engine/study/regions.h"
#include "host/artifact/artifact.h"
#include "host/io/row_names.h"
#include "host/versions/rows.h"
#include "kernels/backend.h"

namespace tracer {

using io::RowNames;

// A policy and what it handles under; no certificate, or one that is refused: it handles nothing.
struct PolicySide {
  const Policy* policy = nullptr;
  const Certificate* certificate = nullptr;
};

// Of some of the rows; before, after.
struct SideCounts {
  int64_t rows = 0;
  int64_t handled[2] = {0, 0}, agree[2] = {0, 0};
};

struct LabelChange : SideCounts {
  std::string label;  // the teacher's; "" with `answered` false: rows without an answer
  bool answered = true;
};

struct RegionChange : SideCounts {
  struct Label {
    std::string label;  // as LabelChange
    bool answered = true;
    int64_t rows = 0;
  };
  std::vector<Label> labels;  // of its rows, the most frequent three; ties by name
  int64_t example = -1;       // nearest to its centre of the rows that RowNames places in the file; -1: none of them is
};

struct Change : SideCounts {
  std::vector<LabelChange> labels;        // by name; rows without an answer last
  std::vector<RegionChange> regions;      // the largest first; none of fewer than kFewestRegionRows rows
  std::vector<std::string> gained, lost;  // labels that only the second, only the first policy can answer
};

// Canonical scores of the rows, with the teacher's answers as indices into the policy's labels.
Result<std::vector<AuditRow>> score_kept(Backend& backend, const Policy& policy, const KeptRows& rows);

// Of a cascade, under that rule of its: rows that the text stage answers take its scores in place of those that
// score_kept gave. texts: n. Nothing for other policies.
void answer_kept(Backend& backend, const Policy& policy, const DecisionRule& rule,
                 const std::vector<std::string>& texts, std::vector<AuditRow>& scores);

// Scores of both sides as score_kept gave them (any for a side without certificate); regions of the same rows.
Change change_on(const PolicySide& before, const std::vector<AuditRow>& scores_before, const PolicySide& after,
                 const std::vector<AuditRow>& scores_after, const KeptRows& rows, const Regions& regions,
                 const RowNames& names);
// Labels gained and lost alone.
void compare_labels(const Policy& before, const Policy& after, Change& change);

// Format: docs/updating.md. names: those that change_on was given.
Json change_json(const Change& change, const RowNames& names);

}  // namespace tracer
