// May rows next to a certify run be learned from? Where neighbours in a log are related they may not; where the order
// of the log says nothing, leaving them out only costs traces: two fifths of what a log of 500 rows has to learn from.
#pragma once

#include <cstdint>
#include <span>

#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "kernels/backend.h"

namespace tracer {

// A permutation test of the order of rows, on two signs: rows whose nearest row stands within kGuardRows places of
// them, and pairs within kGuardRows places that carry the same label. Both are counted in up to 8 blocks of 1,024
// neighbouring rows.
struct OrderCheck {
  int64_t rows = 0;         // looked at
  double near_share = 0;    // nearest rows that stand close
  double near_chance = 0;   // mean of 199 permutations
  double near_p = 1;        // one-sided
  double label_share = 0;   // close pairs with one label
  double label_chance = 0;  // mean of the permutations
  double label_p = 1;
  // Either sign at 5 %, or fewer than 200 rows to see it in. Labels that drift a little make many pairs significant and
  // no row next to another a relative of it: they count where they are at least a tenth above chance.
  bool bursts() const { return label_p <= 0.05 && label_share >= 1.1 * label_chance; }
  bool related() const { return rows < 200 || near_p <= 0.05 || bursts(); }
};

// x: unit rows of the whole log; row: those looked at, ascending. Deterministic in its arguments. Cost: a search of at
// most 8,192 rows among 1,024, and 199 permutations of them.
Result<OrderCheck> check_order(Backend& backend, HostMatrix<const float> x, std::span<const int32_t> label,
                               std::span<const int32_t> row, uint64_t seed);

// make_split; and where kAuto took runs and the rows outside certify are not related(), the same split without a guard.
// Certify rows are not looked at, so what they prove is as if the choice had been made beforehand.
Result<Split> draw_split(Backend& backend, const Traces& traces, HostMatrix<const float> x, SplitOptions options);

}  // namespace tracer
