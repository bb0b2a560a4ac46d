// One wide fit: the softmax regressions of all folds, side by side, over a path of regularisation strengths.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace tracer {

// What the preconditioner needs of the rows: the same for every strength, so computed once for a data set.
struct RowMoments {
  Matrix<float> gram;        // X'X, d x d
  std::vector<double> mean;  // d
};
// Cost: 2 n d^2 flops.
Result<RowMoments> row_moments(Backend& backend, HostMatrix<const float> x);

struct SoftmaxData {
  HostMatrix<const float> x;       // n x d, unit rows
  std::span<const int32_t> label;  // n, in [0, classes)
  int64_t classes = 0;
  std::span<const int32_t> fold;        // n, from 0
  const RowMoments* moments = nullptr;  // of x; null: computed by each call that needs them
};

// Minimises, for one model over its n_m rows,
//   mean of -ln p(label) + ||W||^2 / (2 cost n_m)         (bias free; cost is scikit-learn's C)
// until the gradient's Euclidean norm is at most tolerance, or max_iterations are spent, or float32 has no descent
// left: neither the quasi-Newton direction nor, after it, the preconditioned gradient points downhill, or 25 halvings
// of the step do not lower the objective. Ending short of the tolerance is no error: gradient_norm tells.
struct SoftmaxOptions {
  double tolerance = 1e-4;
  int max_iterations = 200;
};

// The weights of several models: (d + 1) rows, the last one the bias; model m owns columns [m * C, (m + 1) * C).
// Removed classes (without a row to learn from) have weight 0 and bias kRemovedBias.
struct SoftmaxState {
  Matrix<float> weights;
  std::vector<int32_t> held_out;      // by model: the fold it does not see, or -1
  std::vector<double> objective;      // by model, where it stopped last
  std::vector<double> gradient_norm;  // there; above tolerance where the model stopped for another reason
  std::vector<int> iterations;        // spent on it
};

// All-zero weights for one model for each fold 0..folds-1 (folds > 0), or one model on all rows (folds == 0).
SoftmaxState initial_softmax(const SoftmaxData& data, int folds);

// Moves every model to its minimum at `cost`, starting where it stands (warm start along a path).
// Method: L-BFGS in lockstep over the models, each with its own step length, preconditioned by the inverse of
// s X'X/n + I/(cost n) over weights and bias, kept away from singular by float32's rounding; one wide evaluation a
// step. Deterministic for any thread count. kInternal when x is not finite. Cost: iterations * 4 n d C flops a model,
// and 4/3 d^3 for the preconditioner. Memory: 28 (d + 1) models * C floats.
Status minimise_softmax(Backend& backend, const SoftmaxData& data, double cost, const SoftmaxOptions& options,
                        SoftmaxState& state);

// Out-of-fold class probabilities of the first rows of the data (as many as `probability` has, x C): row i is scored by
// the model that did not see its fold.
Status out_of_fold_probability(Backend& backend, const SoftmaxData& data, const SoftmaxState& state,
                               HostMatrix<float> probability);

}  // namespace tracer
