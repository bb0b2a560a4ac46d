// Two policies on the same rows: what the second handles more or less than the first, for each label of the teacher and
// for each region of the embedding space.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
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

using NameRow = std::function<std::string(int64_t row)>;

// What the side decides by on each of the rows, with the teacher's answers as indices into the policy's labels. Nothing
// if the side handles nothing. texts: n, which only a cascade looks at. name: of a row, for messages; may be empty.
// Errors as RowScorer::score() (engine/policy/row_scorer.h).
Result<std::vector<AuditRow>> score_to_decide(Backend& backend, const PolicySide& side, const KeptRows& rows,
                                              std::span<const std::string> texts = {}, const NameRow& name = {});
// Canonical scores of the policy's stage on vectors, to test a challenger at any threshold. Nothing if the policy has
// no stage.
Result<std::vector<AuditRow>> score_to_certify(Backend& backend, const Policy& policy, const KeptRows& rows);

// Scores of each side decide: as score_to_decide() gives them for that side, or score_to_certify(). A side that handles
// nothing needs none. regions: of the same rows.
Change change_on(const PolicySide& before, const std::vector<AuditRow>& scores_before, const PolicySide& after,
                 const std::vector<AuditRow>& scores_after, const KeptRows& rows, const Regions& regions,
                 const RowNames& names);
// Labels gained and lost alone.
void compare_labels(const Policy& before, const Policy& after, Change& change);

// Format: docs/updating.md. names: those that change_on was given.
Json change_json(const Change& change, const RowNames& names);

}  // namespace tracer
