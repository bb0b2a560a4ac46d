// The cross-validated choice of the surrogate: every candidate is scored on rows its models did not see.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/policy.h"
#include "engine/softmax_path.h"
#include "kernels/backend.h"

namespace tracer {

struct SearchInput {
  HostMatrix<const float> x;   // learn rows, n x d, unit rows
  std::vector<int32_t> label;  // n
  int64_t classes = 0;
  std::vector<int32_t> fold;   // n
  int folds = 0;               // >= 2
  std::vector<double> alphas;  // the sweep: candidates are compared by out-of-fold coverage at these
  double delta = 0.05;
  int64_t n_certify = 0;  // the size of the certify set whose allowance they are compared under
};

struct Candidate {
  double cost = 0;  // of the softmax member
  float vote_weight = 0;
  float vote_sharpness = 1;
  double log_loss = 0;   // out-of-fold, of the softmax member
  double agreement = 0;  // out-of-fold, of the mixture, all rows
  double coverage = 0;   // criterion: mean over the alphas of the coverage out-of-fold rows would allow
};

struct SearchResult {
  Candidate best;
  std::vector<Candidate> tried;         // in order
  std::vector<uint8_t> disagree;        // n
  std::vector<double> score;            // n: acceptor's probability of agreement
  std::vector<uint8_t> gated;           // n
  std::vector<double> label_frequency;  // C
  Acceptor acceptor;
  OodGate gate;
  Matrix<float> start;  // (d + 1) x C: mean of the folds' weights, to warm-start the refit
  RowMoments moments;   // of x, for the refit
};

// Candidates: softmax regression along a path of strengths (weak to none, stopped when out-of-fold loss has risen),
// the neighbour vote, and their averages. Deterministic for any thread count.
// progress, when set, is told what has just been done.
Result<SearchResult> search_surrogate(Backend& backend, const SearchInput& input,
                                      const std::function<void(const std::string&)>& progress);

}  // namespace tracer
