// The kernel vote: neighbours that have learned what to say. Instead of its own label, each reference r casts a vector
// a_r with one value for each label; the row's score for the labels is
//   y(x) = prior + sum over the k nearest references j of x of kappa(s_j) a_j,     kappa(s) = max(s, 0)^8,
// with s_j the cosine similarity, and its probabilities are softmax(temperature * y).
//
// The vectors are kernel ridge regression with a kernel cut off beyond the k nearest rows: they minimise
//   sum_i | onehot(label_i) - prior - y(x_i) |^2 + ridge * sum_r | a_r |^2,
// where a row counts itself (kappa = 1) among its neighbours, by conjugate gradients on the least-squares problem
// (CGLS; Bjoerck, Numerical Methods for Least Squares Problems, 1996, section 7.4), stopped after a fixed number of
// steps, which regularises too. A reference that contradicts its surroundings is voted down, one that marks a border
// speaks louder. docs/decisions/kernel-vote.md has what was tried beside it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kKernelVoteNeighbours = 32;

// Rows times labels up to which a kernel vote is learned: its matrices are dense.
inline constexpr int64_t kKernelVoteEntries = int64_t{1} << 27;

// The nearest rows of other units for each row, best first; index -1 where there are fewer. n x k each.
struct NeighbourGraph {
  Matrix<int32_t> neighbour;
  Matrix<float> similarity;
};
// unit: n; rows of one unit are not each other's neighbours. Empty: each row is its own unit.
Result<NeighbourGraph> neighbour_graph(Backend& backend, HostMatrix<const float> x, int64_t k,
                                       std::span<const int32_t> unit);

struct KernelVoteOptions {
  double ridge = 0.1;
  int steps = 30;
};

// What one fit gave. vote is n x C; rows that were left out have zeros.
struct KernelVotes {
  Matrix<float> vote;
  std::vector<float> prior;  // C: the labels' shares among the rows learned from
};

// Learns from the rows with learns[i] != 0 (all rows where it is empty); other rows are nobody's neighbours. Cost:
// 4 n k C flops a step and 5 n C floats of memory. Deterministic for any number of threads.
Result<KernelVotes> fit_kernel_votes(Backend& backend, const NeighbourGraph& graph, std::span<const int32_t> label,
                                     int64_t classes, std::span<const uint8_t> learns,
                                     const KernelVoteOptions& options = {});

// y of rows with the given neighbours (indices into votes.vote's rows; -1: none), n x C.
Status kernel_scores(Backend& backend, HostMatrix<const int32_t> neighbour, HostMatrix<const float> similarity,
                     HostMatrix<const float> vote, std::span<const float> prior, HostMatrix<float> out);

// out = (1 - weight) * a + weight * b, all of one shape.
void blend(Backend& backend, HostMatrix<const float> a, HostMatrix<const float> b, float weight, HostMatrix<float> out);

// Each row of y becomes softmax(temperature * y), in place.
void kernel_probabilities(Backend& backend, float temperature, HostMatrix<float> y);

}  // namespace tracer
