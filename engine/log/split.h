// Which rows are learned from, and which only certify. Source: docs/guarantee.md, step 1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/log/traces.h"
#include "kernels/status.h"

namespace tracer {

enum class SplitKind { kAuto, kRows, kRuns, kTime, kGroups };
const char* to_string(SplitKind kind);

struct SplitOptions {
  SplitKind kind = SplitKind::kAuto;
  double certify_fraction = 0.25;
  int folds = 5;
  uint64_t seed = 0;
  bool guard = true;  // kRuns: rows next to a certify run are not learned from (engine/log/guard.h)
};

// Consecutive rows that stay on one side and in one fold.
inline constexpr int64_t kRunRows = 20;
// Rows this close to a certify run, in the order of the log, are not learned from.
inline constexpr int64_t kGuardRows = 20;

// learn, certify and unused are disjoint, ascending, and together all rows. fold and unit are aligned with learn;
// certify_unit with certify. A unit is a run or a group (a row, under kRows). Units never straddle sides or folds.
struct Split {
  SplitKind kind = SplitKind::kRows;
  std::vector<int32_t> learn;
  std::vector<int32_t> certify;
  std::vector<int32_t> unused;  // guard rows, and what leave_out_large_units() took from certify
  std::vector<int32_t> fold;    // in [0, folds)
  std::vector<int32_t> unit;
  std::vector<int32_t> certify_unit;
  int folds = 0;          // at most the number of learn units; 0 when there are fewer than 2
  int64_t unit_rows = 1;  // m, the most rows of a unit: known beforehand; under kGroups the largest of the learn groups
  std::string reason;     // why this kind, in words
};

// How many units there are: they are numbered from 0.
int64_t count_units(const std::vector<int32_t>& unit);

// Whether the rows stand label by label, so that their order says nothing about how they arrived.
bool sorted_by_label(const std::vector<int32_t>& label);

// kAuto: groups when the traces carry them; rows when the log is sorted by label or too short for runs; else runs.
// kTime needs a timestamp on every row and kGroups a group: ErrorCode::kBadInput otherwise. Deterministic in
// (traces, options). Cost: O(n log n).
Result<Split> make_split(const Traces& traces, const SplitOptions& options);

// All rows learn, none certifies: of a challenger, which is certified on rows to come. kind: kRows, or kRuns for every
// other one. Fewer than two units give no folds.
Split learn_only_split(int64_t rows, SplitKind kind, const SplitOptions& options);

// Puts learn, fold and unit in order of fold: the wide fit skips whole blocks that a model holds out.
void order_by_fold(Split& split);

// Certify groups can be larger than any learn group, and a proof that fixes m beforehand is not about those: moves
// their rows to unused and numbers the remaining certify units afresh. Looks at sizes only.
struct LeftOut {
  int64_t units = 0;
  int64_t rows = 0;
};
LeftOut leave_out_large_units(Split& split);

}  // namespace tracer
