// What is decided about a row: an ensemble of softmax regressions and a vote of neighbours, and what the acceptor and
// the gate see of it. Part of the contract of kernels/backend.h.
//
//   s = sum over members m of weight_m * softmax(X W_m + b_m)     (the weights of the members sum to 1)
//   p = (1 - v) * s + v * vote                                     (v: the weight of the vote)
//
// The vote of neighbour j has weight max(similarity, 0)^sharpness, and the votes are normalised to sum 1. Where nobody
// votes (no admissible neighbour, or only neighbours of weight 0), the vote is s itself.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/matrix.h"

namespace tracer {

// A bias at or below this removes the class from its member: probability exactly 0.
inline constexpr float kRemovedClassBias = -1e4f;

struct LinearMember {
  HostMatrix<const float> w;  // d x C
  std::span<const float> b;   // C; at least one class must stay
  float weight = 1.0f;        // >= 0
};

enum class Storage { kFloat32, kBFloat16 };

// Members prepared for deciding: the backend's own packed copy. Immutable; may be used from several calls, and only
// with the backend that made it, which must outlive it.
class LinearHead {
 public:
  virtual ~LinearHead() = default;
  virtual int64_t dimension() const = 0;  // d
  virtual int64_t classes() const = 0;    // C
  virtual int64_t members() const = 0;    // M
  virtual Storage storage() const = 0;
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
  float mean_distance_10 = 0;  // mean of 1 - similarity over the nearest min(10, available) neighbours; 2 if none
};

// The acceptor as the kernels run it: sigmoid(clamp(coef[0] + sum_j coef[j + 1] * (phi_j - mean[j]) / scale[j], +-30))
// over the features, with f the row's DecisionFeatures and q = label_frequency[f.label]:
//   phi = logit(top1'), top1 - top2, entropy, logit(softmax_p'), logit(vote_p''), vote_share, mean_distance_10,
//         1 - nearest, ln max(q, 1e-9), ln(top1' / top2')
// where ' clamps to [1e-6, 1 - 1e-6] (top2': [1e-6, 1]) and '' to [1e-3, 1 - 1e-3]. These are the features of
// engine/policy/acceptor.h, which stays the authority for decisions: a float32 score differs from it by rounding, below
// 1e-5.
struct LinearAcceptor {
  static constexpr int64_t kFeatures = 10;
  std::span<const double> mean;             // kFeatures
  std::span<const double> scale;            // kFeatures, > 0
  std::span<const double> coef;             // kFeatures + 1, intercept first
  std::span<const double> label_frequency;  // C
};

// Where the decisions of n rows go. What is empty (data == nullptr) is not computed.
struct DecisionOutputs {
  std::span<DecisionFeatures> features;  // n; always
  HostMatrix<float> member_p = {};       // n x M: each member's probability of the chosen label
  HostMatrix<float> probability = {};    // n x C: p
  std::span<float> accept = {};          // n: the acceptor's score; requires an acceptor
};

}  // namespace tracer
