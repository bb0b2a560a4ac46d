// What `fit` learns and proves, frozen: the surrogate, the acceptor, the gate, and a certificate for each alpha.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/log/split.h"
#include "engine/policy/kinds.h"
#include "kernels/decisions.h"
#include "kernels/matrix.h"

namespace tracer {

// This member says softmax(X W + b). Labels that learn never showed have bias kRemovedBias.
struct SoftmaxMember {
  Matrix<float> w;       // d x C
  std::vector<float> b;  // C
  double cost = 0;       // inverse regularisation strength, scikit-learn's C
};

// The k nearest learn rows vote, each with the weight similarity^sharpness.
struct NeighbourMember {
  Matrix<float> references;    // R x d, unit rows
  std::vector<int32_t> label;  // R
  std::vector<int64_t> row;    // R: row of the log, from 0
  int k = 15;
  float sharpness = 1;
};

// The k nearest references vote, and have learned what to say (engine/policy/kernel_vote.h). This member shares the
// references of the NeighbourMember.
struct KernelMember {
  Matrix<float> vote;        // R x C; empty: the policy has no such member
  std::vector<float> prior;  // C
  int k = 0;
  float temperature = 1;
};

// A layer gives relu(x W + b).
struct HiddenLayer {
  Matrix<float> w;       // in x out
  std::vector<float> b;  // out
};

// Regression trees (engine/policy/trees.h): tree t adds the value of the leaf that a row falls into to the logit of
// label t mod C.
struct Trees {
  std::vector<int64_t> root;         // T: the first node of each
  std::vector<int32_t> feature;      // N nodes; -1: a leaf
  std::vector<float> value;          // N: a row goes left where its feature is below it; of a leaf, what it adds
  std::vector<int32_t> left, right;  // N: nodes; of no meaning at a leaf
};

// A member that is asked for by name. It is a network, which says softmax(h W + b) after its hidden layers, one after
// the other, or it is trees, which say softmax(sum of leaves + b). A network without hidden layers is linear: a class
// prototype.
struct AddedMember {
  MemberKind kind = MemberKind::kPrototype;
  std::vector<HiddenLayer> hidden;  // of a network
  Matrix<float> w;                  // of a network's last layer: (units of the last hidden layer, or d) x C
  std::vector<float> b;             // C; kRemovedBias for labels that learn never showed; trees have 0 for the others
  float weight = 0;                 // w_m of Stage
  Trees trees;                      // of kGbt
};
inline constexpr size_t kMostAdded = 4;  // one of each kind

// Probability that the teacher agrees: logistic regression on acceptor_features (engine/policy/acceptor.h).
struct Acceptor {
  std::vector<double> mean;          // of each feature
  std::vector<double> scale;         // divides the centred feature
  std::vector<double> coef;          // intercept first
  std::vector<double> label_offset;  // C: l2d_label, see engine/learn/label_threshold.h; empty: l2d
};

// The gate defers a row whose outlier score (engine/policy/gate.h) is beyond both limits. Policies before format
// version 7 have no reference_distance, and both weights are 0: their score is the mean distance to the 10 nearest.
struct OodGate {
  double global_limit = 2;
  std::vector<double> label_limit;  // C
  double density = 0;
  double confidence = 0;
  std::vector<float> reference_distance;  // R: of each reference to its own 10 nearest, out-of-fold; or empty
};

// A surrogate on vectors, with what accepts its answers. The engine runs exactly one stage, and under the family rsb
// also the stage that this one holds for its residual.
struct Stage {
  SoftmaxMember softmax;
  NeighbourMember neighbours;
  KernelMember kernel;
  std::vector<AddedMember> added;       // q = (1 - sum of w_m) softmax + sum of w_m added_m
  float kernel_weight = 0;              // u: s = (1 - u) q + u kernel vote
  float vote_weight = 0;                // v: p = (1 - v) s + v neighbour vote
  std::vector<double> label_frequency;  // C: share of the learn rows
  Acceptor acceptor;
  OodGate gate;
  // rsb (engine/learn/residual.h): the residual answers the rows that pass the gate and that this stage scores at or
  // below residual_below. Label, score and gate of such a row are the residual's. A residual has no residual itself.
  std::unique_ptr<Stage> residual;
  double residual_below = 0;  // in (0, 1) where there is a residual
};

// The first stage of a cascade: softmax regression on the hashed n-grams of a row's text (engine/text/ngrams.h), with
// an acceptor of its own. It answers easy rows before a vector is made of them.
struct TextStage {
  Matrix<float> w;                      // kNgramBuckets x C
  std::vector<float> b;                 // C; kRemovedBias for labels that learn never showed
  double cost = 0;                      // as SoftmaxMember's
  std::vector<uint64_t> words;          // kWordSlots bits: slots of the words that learn showed
  double most_unseen = 1;               // a row with a larger share of other words is left to the next stage
  std::vector<double> label_frequency;  // C: share of the learn rows
  Acceptor acceptor;                    // on text_features (engine/policy/text_stage.h)
};

struct LabelFigures {
  int32_t label = 0;
  int64_t rows = 0;     // certify rows with this teacher label
  int64_t handled = 0;  // certify rows handled with this predicted label
  int64_t agree = 0;    // among them
};

// A label whose rows are deferred, since it is below the label floor. The counts are of the out-of-fold rows that a
// policy at the certificate's alpha would have handled with this label (engine/prove/label_floor.h).
struct FlooredLabel {
  int32_t label = 0;
  int64_t handled = 0;
  int64_t agree = 0;
};

// Estimates that accompany a refusal. An estimate is never a certificate.
struct RefusalEstimate {
  std::optional<double> best_alpha;       // largest alpha out-of-fold rows put within reach
  int64_t fewest_handled = 0;             // handled units that certification needs at least, all agreeing
  std::optional<int64_t> traces_missing;  // more traces until alpha is expected to certify; none: out of reach
};

// The outcome for one alpha. All counts are of certify rows unless named otherwise; rows of units above unit_rows are
// left out of all of them.
struct Certificate {
  double alpha = 0;
  double delta = 0;  // level this certificate was tested at
  bool certified = false;
  bool approximate = false;  // tested with a design effect, not exactly
  Method method = Method::kRefused;
  ProofUnit unit = ProofUnit::kRows;
  std::string reason;    // why it was refused
  double threshold = 1;  // handle iff score > threshold
  int64_t n_learn = 0;
  int64_t n_certify = 0;
  int64_t n_units = 0;
  int64_t unit_rows = 1;  // m: under kRuns and kGroups the promise is about units of at most m rows; 1 under kRows
  int64_t n_handled = 0;
  int64_t n_agree = 0;
  int64_t unseen_handled = 0;  // handled rows whose normalised text does not occur in learn
  int64_t unseen_agree = 0;
  int64_t tested = 0;            // hypotheses looked at
  double expected_coverage = 0;  // planned on learn
  std::vector<LabelFigures> labels;
  std::vector<FlooredLabel> floored;  // ascending
  RefusalEstimate estimate;           // meaningful when not certified
  // Of a cascade: the text stage answers rows that it scores above text_threshold (1: none), the stage on vectors all
  // others; `threshold` is for the score of the stage that answers.
  double text_threshold = 1;
  int64_t text_handled = 0;  // part of n_handled that the text stage answers
  int64_t text_agree = 0;
};

struct Policy {
  std::vector<std::string> labels;
  int64_t dimension = 0;
  std::optional<TextStage> text;  // of a cascade: asked before `stages`
  std::vector<Stage> stages;
  std::vector<Certificate> certificates;  // ascending alpha
  double alpha = 0;                       // the one asked for
  double delta = 0;
  std::vector<int32_t> never;  // labels whose rows are always deferred, ascending
  double label_floor = 0;      // agreement that learn must show of a label; 0: none asked for
  bool simultaneous = false;   // every certificate holds together at delta

  const Certificate* certificate(double alpha) const;  // null when that alpha was not part of the sweep
};

// Null when that alpha is not among them.
inline const Certificate* find_certificate(const std::vector<Certificate>& certificates, double alpha) {
  for (const Certificate& c : certificates)
    if (c.alpha > alpha - 1e-9 && c.alpha < alpha + 1e-9) return &c;
  return nullptr;
}

inline const Certificate* Policy::certificate(double wanted) const { return find_certificate(certificates, wanted); }

}  // namespace tracer
