#include "engine/maths/logistic.h"

#include <algorithm>
#include <cmath>

namespace tracer {

double logit(double p) {
  p = std::clamp(p, 1e-9, 1 - 1e-9);
  return std::log(p / (1 - p));
}

namespace {

// Eight independent sums, so that long rows are not one chain of additions.
double dot(const double* x, const double* y, int64_t n) {
  double lane[8] = {};
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    for (int l = 0; l < 8; ++l) lane[l] += x[k + l] * y[k + l];
  for (int l = 0; k < n; ++k, ++l) lane[l] += x[k] * y[k];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

}  // namespace

bool cholesky_factor(Matrix<double>& a) {
  const int64_t n = a.rows();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) a(i, j) = (a(i, j) - dot(a.row(i), a.row(j), j)) / a(j, j);
    const double pivot = a(i, i) - dot(a.row(i), a.row(i), i);
    if (!(pivot > 0)) return false;
    a(i, i) = std::sqrt(pivot);
  }
  return true;
}

void cholesky_solve(const Matrix<double>& lower, std::span<double> b) {
  const int64_t n = lower.rows();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k) b[i] -= lower(i, k) * b[k];
    b[i] /= lower(i, i);
  }
  for (int64_t i = n; i-- > 0;) {
    for (int64_t k = i + 1; k < n; ++k) b[i] -= lower(k, i) * b[k];
    b[i] /= lower(i, i);
  }
}

namespace {

// ln(1 + e^z) without overflow.
double log1p_exp(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }

double objective(HostMatrix<const double> design, std::span<const uint8_t> outcome, std::span<const double> ridge,
                 const std::vector<double>& coef) {
  double value = 0;
  for (int64_t i = 0; i < design.rows; ++i) {
    double z = 0;
    for (int64_t j = 0; j < design.cols; ++j) z += design(i, j) * coef[j];
    value += log1p_exp(z) - (outcome[i] ? z : 0);
  }
  for (int64_t j = 0; j < design.cols; ++j) value += 0.5 * ridge[j] * coef[j] * coef[j];
  return value;
}

}  // namespace

LogisticFit fit_logistic(HostMatrix<const double> design, std::span<const uint8_t> outcome,
                         std::span<const double> ridge) {
  const int64_t p = design.cols;
  LogisticFit fit;
  fit.coef.assign(p, 0.0);
  fit.hessian_chol = Matrix<double>(p, p);
  for (int64_t j = 0; j < p; ++j) fit.hessian_chol(j, j) = std::sqrt(ridge[j]);
  double value = objective(design, outcome, ridge, fit.coef);
  for (int iteration = 0; iteration < 100; ++iteration) {
    std::vector<double> gradient(p, 0.0);
    Matrix<double> hessian(p, p);
    for (int64_t i = 0; i < design.rows; ++i) {
      double z = 0;
      for (int64_t j = 0; j < p; ++j) z += design(i, j) * fit.coef[j];
      const double q = sigmoid(z);
      const double weight = q * (1 - q), residual = q - (outcome[i] ? 1.0 : 0.0);
      for (int64_t j = 0; j < p; ++j) {
        gradient[j] += residual * design(i, j);
        const double wj = weight * design(i, j);
        for (int64_t k = 0; k <= j; ++k) hessian(j, k) += wj * design(i, k);
      }
    }
    for (int64_t j = 0; j < p; ++j) {
      gradient[j] += ridge[j] * fit.coef[j];
      hessian(j, j) += ridge[j];
    }
    if (!cholesky_factor(hessian)) break;
    std::vector<double> step = gradient;
    cholesky_solve(hessian, step);
    fit.hessian_chol = std::move(hessian);
    double decrement = 0;
    for (int64_t j = 0; j < p; ++j) decrement += step[j] * gradient[j];
    if (!(decrement > 1e-12 * (1 + std::abs(value)))) break;
    double scale = 1, next = value;
    std::vector<double> trial(p);
    for (int halving = 0; halving < 40; ++halving, scale *= 0.5) {
      for (int64_t j = 0; j < p; ++j) trial[j] = fit.coef[j] - scale * step[j];
      next = objective(design, outcome, ridge, trial);
      if (next <= value - 1e-4 * scale * decrement) break;
    }
    if (!(next < value)) break;
    fit.coef = trial;
    value = next;
  }
  return fit;
}

}  // namespace tracer
