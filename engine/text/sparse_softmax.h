// Softmax regression on sparse rows.
#pragma once

#include <cstdint>
#include <span>

#include "engine/maths/sparse_matrix.h"
#include "kernels/backend.h"

namespace tracer {

struct SparseSoftmaxOptions {
  double cost = 10;  // inverse regularisation strength, scikit-learn's C
  double tolerance = 3e-4;
  int max_iterations = 60;
};

// Minimises over the n rows
//   mean of -ln p(label) + ||W||^2 / (2 cost n)         (bias free)
// from where w stands, until the gradient's Euclidean norm is at most the tolerance, the iterations are spent, or
// float32 has no descent left. w: (columns + 1) x C, the last row the bias; one of kRemovedBias removes a class, which
// no row may carry. Method: L-BFGS with the diagonal of the curvature as its first matrix. Deterministic for any thread
// count. Cost: 4 C flops an entry and iteration, and about 30 (columns + 1) C. Memory: 16 (columns + 1) C + 2 n C
// floats.
Status minimise_sparse_softmax(Backend& backend, const SparseMatrix& x, std::span<const int32_t> label,
                               const SparseSoftmaxOptions& options, Matrix<float>& w);

}  // namespace tracer
