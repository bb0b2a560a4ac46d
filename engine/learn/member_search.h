// Members beyond softmax regression and neighbours: they are learned out-of-fold, weighed, and learned again.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "engine/learn/choices.h"
#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// How to learn a member that was chosen out-of-fold once more, from other rows.
struct MemberPlan {
  MemberKind kind = MemberKind::kPrototype;
  float weight = 0;     // w_m of Stage
  double log_loss = 0;  // out-of-fold
  double ridge = 0;     // of a prototype
  double temperature = 1;
  std::vector<int64_t> hidden;  // of an MLP
  int epochs = 0;               // of trees, rounds
  uint64_t seed = 0;
};

struct MemberData {
  HostMatrix<const float> x;       // n x d, unit rows
  std::span<const int32_t> label;  // n
  int64_t classes = 0;
};

struct MemberSearchInput {
  MemberData data;
  std::span<const int32_t> fold;  // n
  int folds = 0;
  MemberSet members;
  uint64_t seed = 0;
  double loss = 0;              // out-of-fold, of the softmax regression
  std::function<bool()> spent;  // true: learn no more; empty: never
  std::function<void(const std::string&)> progress;
};

// A member as one search leaves it.
struct FoundMember {
  MemberPlan plan;
  Matrix<float> probability;  // n x C, out-of-fold; empty: given up
};
// Training by steps (epochs, rounds), as the out-of-fold loss after each shows it, and when it ends.
class TrainingProgress {
 public:
  // to_beat: MemberSearchInput::loss.
  TrainingProgress(int most, double to_beat) : most_(most), to_beat_(to_beat) {}

  bool step(double loss);  // one more; whether its loss is the least so far
  bool over() const;
  bool hopeless() const { return hopeless_; }
  int steps() const { return steps_; }
  int best() const { return best_; }  // step of the least loss; 0: none yet
  double least() const { return least_; }
  // "out-of-fold loss 0.3, 8 of 11 epochs"
  std::string in_words(const char* steps) const;

 private:
  const int most_;
  const double to_beat_;
  int steps_ = 0, best_ = 0;
  double last_ = std::numeric_limits<double>::infinity(), least_ = last_;
  bool hopeless_ = false;
};

// The rows of the fold (inside), or of all other folds.
std::vector<int32_t> rows_of_fold(const MemberSearchInput& in, int32_t fold, bool inside);

struct OutOfFoldMembers {
  std::vector<MemberPlan> plan;
  std::vector<Matrix<float>> probability;  // aligned: n x C, out-of-fold
  std::vector<std::string> cut;            // what was left untried, in words
};

// Prototypes of several ridges and temperatures, the best of them; MLPs trained in all folds side by side until
// out-of-fold loss has not fallen for three epochs, and taken as they were at its least. A member that cannot win is
// given up and left out: loss curves flatten, so one that would stay above 1.1 times input.loss even if all epochs that
// are left brought as much as the last one did. Trees likewise, by rounds (engine/learn/gradient_boosting.h), a fold on
// a thread. kDevice where those are asked for and XGBoost is not there. Deterministic for any number of threads, as
// long as `spent` is. Memory: n C floats a member, and for MLPs 5 floats a weight and fold.
Result<OutOfFoldMembers> out_of_fold_members(Backend& backend, const MemberSearchInput& input);

// Weights of the softmax regression (first) and of the members, at least 0 and of sum 1, of least out-of-fold loss: a
// concave problem, solved by 200 steps of expectation maximisation. A member of less than 0.05 is dropped (from
// `found`), and the others are weighed again.
void weigh_members(HostMatrix<const float> softmax, std::span<const int32_t> label, OutOfFoldMembers& found);

// Learns the member of a plan from all rows of data.
Result<AddedMember> learn_member(Backend& backend, const MemberData& data, const MemberPlan& plan);

// Mean of -ln p(label). A class that a fold never saw has probability 0: it counts as one in a million, not as
// infinity.
double out_of_fold_log_loss(HostMatrix<const float> probability, std::span<const int32_t> label);

}  // namespace tracer
