#include "engine/study/prediction.h"

#include <cmath>

namespace tracer {

Interval prediction_interval(int64_t k, int64_t n, int64_t m) {
  constexpr double kTail = 0.025;
  const double a = static_cast<double>(k) + 0.5, b = static_cast<double>(n - k) + 0.5, rows = static_cast<double>(m);
  int sign = 0;  // std::lgamma writes a global
  const auto ln_gamma = [&](double v) { return lgamma_r(v, &sign); };
  // P(0), then each from the one before: P(y + 1) / P(y) = (m - y) (a + y) / ((y + 1) (b + m - y - 1)).
  double log_p = ln_gamma(b + rows) - ln_gamma(b) + ln_gamma(a + b) - ln_gamma(a + b + rows);
  double below = 0;
  Interval out{1, 1};
  bool found_low = false;
  for (int64_t y = 0; y <= m; ++y) {
    const double at = static_cast<double>(y);
    below += std::exp(log_p);
    if (!found_low && below > kTail) out.low = at / rows, found_low = true;
    if (below >= 1 - kTail) {
      out.high = at / rows;
      return out;
    }
    log_p += std::log((rows - at) * (a + at)) - std::log((at + 1) * (b + rows - at - 1));
  }
  return out;
}

}  // namespace tracer
