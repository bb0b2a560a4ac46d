// What a candidate is worth: its out-of-fold scores, and the coverage that a certify set would allow them.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/learn/search.h"
#include "engine/policy/policy.h"
#include "engine/policy/row_features.h"

namespace tracer {

// What follows from a candidate's out-of-fold features. The vectors have one entry for each row of the search.
struct Scored {
  std::vector<uint8_t> disagree;
  std::vector<double> score;
  std::vector<int32_t> predicted;
  std::vector<uint8_t> gated;
  Acceptor acceptor;
  OodGate gate;
};

// features: n, of rows that the models did not see. frequency: C. Learns the acceptor and the gate from all rows. If
// another stage answers some rows (SearchInput::other_rows), each score is by an acceptor of the other folds instead.
Scored score_candidate(const SearchInput& input, const std::vector<double>& frequency,
                       const std::vector<RowFeatures>& features);

// The mean, over a grid of alphas, of the largest share of rows whose disagreements a certify set would allow. The grid
// reaches from a little below the least to a little above the largest alpha of the sweep. The sweep's own few alphas
// would make a noisy criterion: near 0.99 a handful of rows moves the share by some percent.
class Allowance {
 public:
  // Refers to the input, which must outlive it. Cost: 41 tables of n_certify critical values.
  explicit Allowance(const SearchInput& input);
  // In [0, 1]. Cost: a sort of the rows, and 41 comparisons a row.
  double coverage(const Scored& scored) const;

 private:
  const std::vector<double>& other_score_;
  const std::vector<uint8_t>& other_disagree_;
  int64_t rows_;
  double ratio_;
  std::vector<std::vector<int64_t>> allowed_;  // of each alpha, by the number of rows
};

}  // namespace tracer
