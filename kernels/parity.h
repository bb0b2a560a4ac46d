// The parity sweep: how much of each segment of scored rows may be kept at each alpha. Part of the contract of
// kernels/backend.h.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/matrix.h"

namespace tracer {

// Segments lie one after the other: segment s owns the rows [segment_begin[s], segment_begin[s + 1]).
struct ParitySweepProblem {
  std::span<const float> score;            // n; no NaN; +0 and -0 are equal
  std::span<const uint8_t> agree;          // n; 0: the row disagrees
  std::span<const int64_t> segment_begin;  // S + 1, ascending, from 0 to n
  // A x (at least the longest segment + 1): entry (a, r) is the most disagreements that alpha a allows among the first
  // r rows; -1: that prefix never passes. Column 0 is not read. Need not be monotone.
  HostMatrix<const int32_t> allowed;
};

// The largest prefix of a segment, its rows by descending score, that passes; a tie is never cut.
struct ParityPoint {
  int64_t handled = 0;   // rows in the prefix; 0: none passes
  int64_t disagree = 0;  // disagreements among them
  float score_next = 0;  // handle iff score > this: the score of the row that follows; -infinity where none does
};

}  // namespace tracer
