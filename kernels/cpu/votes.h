// The neighbours of a block of rows: how they vote, and what they say about a label.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/context.h"

namespace tracer::cpu {

// The shapes; that indices and labels are in range is found out by VoteBlock::cast.
Status check_votes(const NeighbourVote& vote, int64_t rows);

// Working memory is the caller's: floats(k, width) floats, 8-byte aligned.
class VoteBlock {
 public:
  VoteBlock(const NeighbourVote& vote, int64_t width, float* memory);
  static int64_t floats(int64_t k, int64_t width) { return width * (4 * k + 2) + 2 * (k + 16); }

  // Reads the neighbours of `rows` rows from row `first` on. False where a neighbour or its label is out of range.
  bool cast(int64_t first, int64_t rows, int64_t classes);

  // Does anybody vote for row `lane` of the block?
  bool voted(int64_t lane) const { return total_[lane] > 0; }

  // Adds the votes of one lane to its p (row stride width), which holds (1 - weight) * s with the given entropy of s.
  // Returns the entropy of p.
  float add_to(const IsaKernels& isa, int64_t lane, float entropy, float* p) const;

  // Fills what neighbours say of f.label; vote_p where nobody votes is `otherwise`.
  void describe(int64_t lane, float otherwise, DecisionFeatures& f) const;

 private:
  const NeighbourVote& vote_;
  int64_t k_;
  int64_t width_;
  int64_t first_ = 0;
  double* mass_;    // width x k: the weight of each vote
  double* total_;   // width
  int32_t* label_;  // width x k; -1: no such neighbour
  float* old_;      // k + 16
  float* new_;      // k + 16
};

}  // namespace tracer::cpu
