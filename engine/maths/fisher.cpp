#include "engine/maths/fisher.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tracer {

double fisher_exact(int64_t k, int64_t n, int64_t l, int64_t m) {
  if (n == 0 || m == 0) return 1;
  int sign = 0;  // std::lgamma writes a global
  const auto ln_choose = [&](int64_t of, int64_t take) {
    const auto ln_factorial = [&](int64_t v) { return lgamma_r(static_cast<double>(v) + 1, &sign); };
    return ln_factorial(of) - ln_factorial(take) - ln_factorial(of - take);
  };
  const int64_t hits = k + l;
  const double all = ln_choose(n + m, hits);
  const auto ln_p = [&](int64_t x) { return ln_choose(n, x) + ln_choose(m, hits - x) - all; };
  const double seen = ln_p(k);
  double p = 0;
  for (int64_t x = std::max<int64_t>(0, hits - m); x <= std::min(n, hits); ++x)
    if (const double here = ln_p(x); here <= seen + 1e-7) p += std::exp(here);  // equal ones count, despite rounding
  return std::min(p, 1.0);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] < p[b] : a < b; });
  std::vector<double> adjusted(p.size());
  double most = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    most = std::max(most, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    adjusted[order[i]] = most;
  }
  return adjusted;
}

}  // namespace tracer
