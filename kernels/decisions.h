// What is decided about a row: the probabilities of a softmax regression, a vote of neighbours, and what the acceptor
// and the gate see of the two together. Part of the contract of kernels/backend.h.
//
//   p = (1 - v) * s + v * vote      (s: given class probabilities, of sum 1; v: the weight of the vote)
//
// The vote of neighbour j has weight max(similarity, 0)^sharpness, and the votes are normalised to sum 1. Where nobody
// votes (no admissible neighbour, or only neighbours of weight 0), the vote is s itself.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/matrix.h"

namespace tracer {

// A bias at or below this removes the class from its softmax regression: its probability is exactly 0.
inline constexpr float kRemovedBias = -1e4f;

// So many nearest rows are a row's neighbourhood: mean distances are taken over them, the gate compares them with their
// own, and a scan lets them vote.
inline constexpr int64_t kNeighbourhood = 10;

// A softmax regression prepared for deciding: the backend's own packed copy. A head is immutable; it may be used from
// several calls, and only with the backend that made it, which must outlive it.
class LinearHead {
 public:
  virtual ~LinearHead() = default;
  virtual int64_t dimension() const = 0;  // d
  virtual int64_t classes() const = 0;    // C
};

struct NeighbourVote {
  HostMatrix<const int32_t> neighbour;       // n x k indices into reference_label, -1 = none; k may be 0
  HostMatrix<const float> similarity;        // n x k, descending
  std::span<const int32_t> reference_label;  // labels of the references; of each neighbour in [0, C)
  float weight = 0.0f;                       // v in [0, 1]
  float sharpness = 1.0f;
};

// What the acceptor and the gate see of one row. The margin is top1 - top2.
struct DecisionFeatures {
  int32_t label = 0;           // argmax of p; ties to the lower class
  float top1 = 0;              // p[label]
  float top2 = 0;              // second largest p (0 when C == 1)
  float entropy = 0;           // of p, divided by ln C (0 when C == 1), in [0, 1]
  float softmax_p = 0;         // s[label]
  float vote_p = 0;            // vote[label]
  float vote_share = 0;        // unweighted share of the available neighbours that carry label (0 when there is none)
  float nearest = 0;           // similarity of the nearest neighbour (-2 when there is none)
  float mean_distance_10 = 0;  // mean of 1 - similarity over the nearest min(kNeighbourhood, available); 2 if none
};

}  // namespace tracer
