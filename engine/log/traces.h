// Traces as learning sees them: label indices, vectors and what relates rows. Text stays in host/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/matrix.h"

namespace tracer {

// One log of n rows, in file order. labels is sorted (bytewise) and complete: a label's index never depends on a split.
struct Traces {
  std::vector<std::string> labels;
  std::vector<int32_t> label;       // n: index into labels, the teacher's answer
  std::vector<uint64_t> text_hash;  // n: equal for rows whose normalised text is equal
  std::vector<int64_t> group;       // n, dense from 0, when rows were read with a group key; else empty
  std::vector<double> timestamp;    // n, seconds (NaN where the row had none); empty when no row had one
  std::vector<std::string> id;      // n, when at least one row had an id ("" where missing); else empty
  std::vector<int64_t> line;        // n: 1-based line of the source file

  int64_t rows() const { return static_cast<int64_t>(label.size()); }
};

}  // namespace tracer
