// Are rows of this log related to each other, so that a split by rows would flatter? Asked before training, of learn
// rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/log/split.h"
#include "kernels/backend.h"

namespace tracer {

struct Dependence {
  double neighbour_share = 0;      // nearest neighbours that carry the same label
  double chance_share = 0;         // expected of unrelated rows: sum of squared label frequencies
  double adjacent_share = 0;       // nearest neighbours within 3 rows of the log
  double agreement_rows = 0;       // neighbour vote, folds by row
  double agreement_groups = 0;     // the same, groups of mutual nearest neighbours kept in one fold
  double agreement_exchanged = 0;  // the same, but each row of a group exchanged for one of its label at random
  bool repelled = false;           // neighbours share a label significantly less often than chance
  bool flattered = false;  // agreement_groups is below both others by more than two standard errors, and by more
                           // than keeping close rows apart costs where rows are unrelated
  std::string advice;      // empty when nothing is wrong; else what was seen and the split to use
};

// x: learn rows (unit), label, and the place of each row in the log. sorted: the log is sorted by label, so that
// closeness in the log means nothing and the second sign is not looked at. used: the split in force.
// Cost: one self-join of n rows.
Result<Dependence> check_dependence(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                                    std::span<const int32_t> place, int64_t classes, bool sorted, SplitKind used,
                                    uint64_t seed);

}  // namespace tracer
