// The cross-validated choice of the surrogate: every candidate is scored on rows its models did not see.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/learn/choices.h"
#include "engine/learn/descriptions.h"
#include "engine/learn/member_search.h"
#include "engine/learn/softmax_path.h"
#include "engine/policy/kernel_vote.h"
#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// Gradient norm at which softmax regressions stop, those of the folds and the refit alike, so that thresholds fixed
// out-of-fold mean the same on the refit: out-of-fold loss has settled by then, and stopping early regularises.
inline constexpr double kSearchTolerance = 1e-3;

// Iterations that each of them may take at most, at a strength: 200, or, with many labels on many rows, as many (at
// least 8) as the folds can do in about 2 * 10^13 floating-point operations: 1.5 to 4 minutes on two cores. Most need 5
// to 20.
int search_iterations(int64_t rows, int64_t dimension, int64_t classes, int folds);

struct SearchInput {
  HostMatrix<const float> x;   // learn rows or a sample of them, n x d, unit rows
  std::vector<int32_t> label;  // n
  int64_t classes = 0;
  std::vector<int32_t> fold;            // n
  int folds = 0;                        // >= 2
  std::vector<int32_t> unit;            // n: rows of one unit are related, and do not learn from each other
  std::vector<double> label_frequency;  // C: share of all learn rows; empty: of these
  std::vector<double> alphas;           // the sweep: candidates are compared by out-of-fold coverage at these
  double delta = 0.05;
  std::vector<int32_t> never;                  // labels whose rows are never handled
  Choices choices;                             // all but `residual`, which a search does not look at
  uint64_t seed = 0;                           // of the learning of added members
  std::function<bool()> spent;                 // true: try nothing more than is needed for a policy; empty: never
  int64_t n_certify = 0;                       // the size of the certify set whose allowance they are compared under
  const Descriptions* descriptions = nullptr;  // unit rows that softmax regression learns from as well; null: none
  // rsb: of rows that another stage answers and that pass its gate. They count with the n rows where coverage is
  // planned, and make acceptors be judged on rows of folds that they did not learn from: rows of a residual are few.
  std::vector<double> other_score;
  std::vector<uint8_t> other_disagree;
  int64_t other_rows = 0;  // those, and the rows that it gates
};

struct Candidate {
  double cost = 0;          // of the softmax member
  float kernel_weight = 0;  // u and v of Stage
  float vote_weight = 0;
  float vote_sharpness = 1;
  bool added = false;    // with the added members of SearchResult
  double log_loss = 0;   // out-of-fold, of the softmax member
  double agreement = 0;  // out-of-fold, of the mixture, all rows
  double coverage = 0;   // criterion: mean coverage that out-of-fold rows would allow, over a grid of alphas
};

struct SearchResult {
  Candidate best;
  std::vector<Candidate> tried;    // in order
  std::vector<uint8_t> disagree;   // n
  std::vector<double> score;       // n: acceptor's probability of agreement; under l2d_label by other folds' offsets
  std::vector<int32_t> predicted;  // n
  std::vector<uint8_t> gated;      // n: out of distribution, or predicted as a label of `never`
  std::vector<std::string> cut;    // what was left untried, in words
  std::vector<MemberPlan> added;   // of the best candidate
  std::vector<double> label_frequency;  // C
  Acceptor acceptor;
  OodGate gate;
  Matrix<float> start;   // (d + 1) x C: mean of the folds' weights, to warm-start the refit
  RowMoments moments;    // of x and the descriptions, for the refit
  NeighbourGraph graph;  // of x, for the refit of the kernel vote; empty where it has no part
  float kernel_temperature = 1;
  int iterations = 0;  // search_iterations, for the refit
};

// Softmax regression along a path of strengths (strong to weak, stopped when out-of-fold loss has risen; the strength
// of the least loss is kept), the kernel vote and the neighbour vote; candidates are their averages. With the members
// of input.choices.members (engine/learn/member_search.h) in a second round, whose candidates must allow more
// coverage. Without the kernel vote where its n x C matrices would be too large (kKernelVoteEntries). Deterministic for
// any thread count, as long as `spent` is. progress, when set, is told what has just been done.
Result<SearchResult> search_surrogate(Backend& backend, const SearchInput& input,
                                      const std::function<void(const std::string&)>& progress);

}  // namespace tracer
