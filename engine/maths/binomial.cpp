#include "engine/maths/binomial.h"

#include <math.h>

#include <algorithm>
#include <cmath>

namespace tracer {
namespace {

// ln n! minus Stirling's formula, n >= 1: differences of log-gammas would lose eight digits at n = 1e8.
double stirling_error(double n) {
  if (n <= 15) {
    int sign = 0;  // std::lgamma writes a global
    return lgamma_r(n + 1, &sign) - (n + 0.5) * std::log(n) + n - 0.91893853320467274178;
  }
  const double m = 1 / (n * n);
  return (1.0 / 12 - m * (1.0 / 360 - m * (1.0 / 1260 - m * (1.0 / 1680 - m / 1188)))) / n;
}

// x ln(x / np) + np - x, without cancellation where x is near np.
double deviance(double x, double np) {
  if (std::abs(x - np) >= 0.1 * (x + np)) return x * std::log(x / np) + np - x;
  const double v = (x - np) / (x + np);
  double sum = (x - np) * v, term = 2 * x * v;
  for (int j = 3;; j += 2) {
    term *= v * v;
    const double next = sum + term / j;
    if (next == sum) return sum;
    sum = next;
  }
}

// x^a y^b / B(a, b) for a, b >= 1 and y = 1 - x, by the saddle point of Loader (2000), "Fast and accurate computation
// of binomial probabilities": it is a b / (a + b) times the probability of a successes in a + b.
double beta_front(double a, double b, double x, double y) {
  const double n = a + b;
  return std::sqrt(a * b / (n * 6.28318530717958647693)) *
         std::exp(stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * y));
}

// The continued fraction of the incomplete beta function, evaluated by Lentz's method (DLMF 8.17.22).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto guard = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1.0;
  double d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
  double h = d;
  for (int64_t m = 1; m <= 1'000'000; ++m) {
    const double dm = static_cast<double>(m);
    const double even = dm * (b - dm) * x / ((a + 2 * dm - 1) * (a + 2 * dm));
    d = 1.0 / guard(1.0 + even * d);
    c = guard(1.0 + even / c);
    h *= d * c;
    const double odd = -(a + dm) * (a + b + dm) * x / ((a + 2 * dm) * (a + 2 * dm + 1));
    d = 1.0 / guard(1.0 + odd * d);
    c = guard(1.0 + odd / c);
    const double step = d * c;
    h *= step;
    if (std::abs(step - 1.0) < 1e-15) break;
  }
  return h;
}

// Regularised incomplete beta I_x(a, b), y = 1 - x: both are given because either may be too small for the other's
// digits.
double incomplete_beta(double a, double b, double x, double y) {
  const double front = beta_front(a, b, x, y);
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

}  // namespace

double binomial_cdf(int64_t k, int64_t n, double p) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  if (p <= 0) return 1;
  if (p >= 1) return 0;
  return incomplete_beta(static_cast<double>(n - k), static_cast<double>(k + 1), 1 - p, p);
}

double clopper_pearson_lower(int64_t k, int64_t n, double delta) {
  if (k <= 0 || n <= 0) return 0;
  // The p at which k or more successes have probability delta; bisection keeps the conservative end.
  double lo = 0, hi = static_cast<double>(k) / static_cast<double>(n);
  for (int i = 0; i < 60; ++i) {
    const double mid = 0.5 * (lo + hi);
    (1 - binomial_cdf(k - 1, n, mid) > delta ? hi : lo) = mid;
  }
  return lo;
}

double clopper_pearson_upper(int64_t k, int64_t n, double delta) { return 1 - clopper_pearson_lower(n - k, n, delta); }

std::vector<int64_t> critical_values(int64_t n, double epsilon, double delta) {
  std::vector<int64_t> allowed(static_cast<size_t>(n) + 1, -1);
  int64_t c = -1;
  for (int64_t rows = 1; rows <= n; ++rows) {
    // One more row allows at most one more disagreement.
    if (c + 1 < rows && binomial_cdf(c + 1, rows, epsilon) <= delta) ++c;
    allowed[rows] = c;
  }
  return allowed;
}

int64_t fewest_certifying_rows(double alpha, double delta) {
  const double n = std::ceil(std::log(delta) / std::log(alpha) - 1e-12);
  return std::max<int64_t>(1, static_cast<int64_t>(n));
}

}  // namespace tracer
