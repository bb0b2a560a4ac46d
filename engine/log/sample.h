// A large log is looked up in, and candidates are compared on, a sample of its learn rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/log/split.h"
#include "kernels/matrix.h"

namespace tracer {

// Indices into unit and fold (of the learn rows), ascending: all of them where there are at most `most`; else whole
// units in random order, each as likely as another, so that labels keep the traffic's proportions and rows of one unit
// stay together. The unit that would go beyond `most` ends the sample, unless it is not yet half full or all of one
// fold: then that unit is taken too. Deterministic in the arguments.
std::vector<int32_t> sample_units(std::span<const int32_t> unit, std::span<const int32_t> fold, int64_t most,
                                  uint64_t seed);

// Row i becomes what was row order[i]; order is a permutation. In place: one row of memory and a byte a row.
void permute_rows(Matrix<float>& x, std::span<const int32_t> order);

// Where the vectors lie once x has been put in order: the sample of learn, the rest of learn, the others. That way none
// of these needs a copy.
struct Layout {
  int64_t sample_rows = 0;
  std::vector<int32_t> learn, fold, unit;  // the learn rows in that order: row of the log, fold and unit
  std::vector<int32_t> place;              // of each row of the log
};
// sample: indices into split.learn, ascending.
Layout lay_out(const Split& split, std::span<const int32_t> sample, Matrix<float>& x);

}  // namespace tracer
