// Ridge logistic regression on a handful of features, in float64: the acceptor and the chain's risk curve are such.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/matrix.h"

namespace tracer {

struct LogisticFit {
  std::vector<double> coef;  // one for each column of the design
  // Lower Cholesky factor of the Hessian at the optimum: precision of the Laplace posterior.
  Matrix<double> hessian_chol;
};

// Minimises sum of log losses + 0.5 * sum_j ridge[j] * coef[j]^2 by Newton's method with halving; ridge[j] > 0, so the
// optimum exists and is unique for any data (none, one class, separable). The design holds its own constant column.
// Where float64 cannot factor a Hessian (a design near overflow) the fit stops at the last point it reached.
// Cost: about 10 passes of n p^2. Deterministic (sequential sums).
LogisticFit fit_logistic(HostMatrix<const double> design, std::span<const uint8_t> outcome,
                         std::span<const double> ridge);

// Solves L L' x = b in place, for the lower factor L.
void cholesky_solve(const Matrix<double>& lower, std::span<double> b);
// Factors a symmetric positive definite matrix in place (upper part untouched); false when a pivot is not positive.
[[nodiscard]] bool cholesky_factor(Matrix<double>& a);

inline double sigmoid(double z) {
  return z >= 0 ? 1 / (1 + __builtin_exp(-z)) : __builtin_exp(z) / (1 + __builtin_exp(z));
}
// ln(p / (1 - p)) with p kept in [1e-9, 1 - 1e-9].
double logit(double p);

}  // namespace tracer
