#include "engine/study/learning_curve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace tracer {
namespace {

constexpr int kRates = 100;
constexpr double kLeastRate = 0.05, kMostRate = 2;
constexpr int kPlateaus = 2000;  // steps of the profile over [0, 1]
constexpr int kSizes = 1500;     // steps of the profile over sizes, in logarithms
constexpr double kRounding = 1e-12;

// P(|T| <= t), for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).
double student_t_within(double t, int64_t freedom) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(freedom)));
  const double sine = std::sin(angle), cosine = std::cos(angle);
  const bool odd = freedom % 2 == 1;
  double term = odd ? cosine : 1, sum = freedom > 1 ? term : 0;
  for (int64_t k = odd ? 2 : 1; k <= freedom - 3; k += 2) {
    term *= cosine * cosine * static_cast<double>(k) / static_cast<double>(k + 1);
    sum += term;
  }
  return odd ? 2 / std::acos(-1.0) * (angle + sine * sum) : sine * sum;
}

// k of the weights n^k: minus the slope of ln(variance at a size) on ln(size).
double weight_exponent(const std::vector<CurvePoint>& points) {
  constexpr double kLeastVariance = 1e-8, kUsual = 1, kMost = 4;
  std::map<double, std::vector<double>> by_size;
  for (const CurvePoint& p : points) by_size[p.traces].push_back(p.coverage);
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const auto& [size, values] : by_size) {
    if (values.size() < 2) continue;
    double mean = 0, variance = kLeastVariance;
    for (double v : values) mean += v / static_cast<double>(values.size());
    for (double v : values) variance += (v - mean) * (v - mean) / static_cast<double>(values.size() - 1);
    const double a = std::log(size), b = std::log(variance), w = static_cast<double>(values.size() - 1);
    n += w, x += w * a, y += w * b, xx += w * a * a, xy += w * a * b;
  }
  const double square = n * xx - x * x;
  return square > 1e-9 * n * n ? std::clamp(-(n * xy - x * y) / square, 0.0, kMost) : kUsual;
}

}  // namespace

double student_t_quantile(double level, int64_t freedom) {
  double low = 0, high = 1;
  while (student_t_within(high, freedom) < level) high *= 2;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (student_t_within(middle, freedom) < level ? low : high) = middle;
  }
  return high;
}

double LearningCurve::Sums::residual(double a, double b) const {
  return std::max(0.0, yy - 2 * a * y + a * a * w + 2 * b * (zy - a * z) + b * b * zz);
}

double LearningCurve::Sums::best_drop(double a) const { return std::max(0.0, (a * z - zy) / zz); }

std::optional<Interval> LearningCurve::Sums::drops(double limit) const {
  std::optional<Interval> found;
  // b within [first, last] where c0 + 2 c1 b + c2 b^2 <= limit.
  const auto add = [&](double c0, double c1, double c2, double first, double last) {
    const double square = c1 * c1 - c2 * (c0 - limit);
    if (!(c2 > 0) || square < 0) return;
    const double low = std::max(first, (-c1 - std::sqrt(square)) / c2);
    const double high = std::min(last, (-c1 + std::sqrt(square)) / c2);
    if (low > high) return;
    found = found ? Interval{std::min(found->low, low), std::max(found->high, high)} : Interval{low, high};
  };
  const double edge = (w - y) / z;  // beyond it the best plateau would be above 1
  add(yy - y * y / w, zy - y * z / w, zz - z * z / w, 0, edge);
  add(yy - 2 * y + w, zy - z, zz, std::max(edge, 0.0), std::numeric_limits<double>::infinity());
  return found;
}

double LearningCurve::residual_at_plateau(double a) const {
  double least = std::numeric_limits<double>::infinity();
  for (const Sums& s : sums_) least = std::min(least, s.residual(a, s.best_drop(a)));
  return least;
}

// Curves through (traces, coverage): y = coverage + b (u - z), u being the z of `traces`.
double LearningCurve::residual_through(double traces, double coverage) const {
  double least = std::numeric_limits<double>::infinity();
  for (const Sums& s : sums_) {
    const double u = std::pow(traces / largest_, -s.rate);
    const double cross = u * (s.y - coverage * s.w) - (s.zy - coverage * s.z);
    const double square = u * u * s.w - 2 * u * s.z + s.zz;
    const double b = square > 0 ? std::clamp(cross / square, 0.0, (1 - coverage) / u) : 0;
    least = std::min(least, s.residual(coverage + b * u, b));
  }
  return least;
}

Result<LearningCurve> LearningCurve::fit(const std::vector<CurvePoint>& points) {
  std::set<double> sizes;
  for (const CurvePoint& p : points) {
    if (!(p.traces > 0 && std::isfinite(p.traces) && p.coverage >= 0 && p.coverage <= 1))
      return bad_input("a learning curve needs sizes above 0 and coverages between 0 and 1");
    sizes.insert(p.traces);
  }
  if (sizes.size() < 3)
    return refused("a learning curve needs points of 3 sizes, and has " + std::to_string(sizes.size()));
  LearningCurve curve;
  curve.smallest_ = *sizes.begin();
  curve.largest_ = *sizes.rbegin();
  const double exponent = weight_exponent(points);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRates; ++i) {
    Sums s;
    s.rate = kLeastRate * std::pow(kMostRate / kLeastRate, i / (kRates - 1.0));
    for (const CurvePoint& p : points) {
      const double share = p.traces / curve.largest_, y = p.coverage;
      const double w = std::pow(share, exponent), z = std::pow(share, -s.rate);
      s.w += w, s.y += w * y, s.yy += w * y * y, s.z += w * z, s.zz += w * z * z, s.zy += w * z * y;
    }
    // Free, else on one of the two edges.
    double a = (s.y * s.zz - s.z * s.zy) / (s.w * s.zz - s.z * s.z), b = (a * s.z - s.zy) / s.zz;
    if (!(a <= 1 && b >= 0)) {
      const double flat = s.y / s.w, full = s.best_drop(1);
      const bool at_full = s.residual(1, full) < s.residual(flat, 0);
      a = at_full ? 1 : flat, b = at_full ? full : 0;
    }
    if (const double r = s.residual(a, b); r < least) {
      least = r;
      curve.plateau_ = a, curve.scaled_drop_ = b, curve.rate_ = s.rate;
    }
    curve.sums_.push_back(s);
  }
  const auto freedom = static_cast<int64_t>(points.size()) - 3;
  if (freedom < 1) return curve;
  const double t = student_t_quantile(kLevel, freedom);
  curve.scatter_ = t * std::sqrt(least / static_cast<double>(freedom));
  curve.limit_ = least * (1 + t * t / static_cast<double>(freedom)) + kRounding;
  Interval interval{curve.plateau_, curve.plateau_};
  for (int i = 0; i <= kPlateaus; ++i) {
    const double a = static_cast<double>(i) / kPlateaus;
    if (curve.residual_at_plateau(a) > curve.limit_) continue;
    interval.low = std::min(interval.low, a), interval.high = std::max(interval.high, a);
  }
  curve.plateau_interval_ = interval;
  return curve;
}

double LearningCurve::drop() const { return scaled_drop_ * std::pow(largest_, rate_); }

double LearningCurve::at(double traces) const {
  return std::clamp(plateau_ - scaled_drop_ * std::pow(traces / largest_, -rate_), 0.0, 1.0);
}

double LearningCurve::gain(double traces) const { return at(traces) - at(largest_); }

std::optional<Interval> LearningCurve::gain_interval(double traces) const {
  if (!plateau_interval_) return std::nullopt;
  Interval interval{gain(traces), gain(traces)};
  for (const Sums& s : sums_) {
    const auto drops = s.drops(limit_);
    if (!drops) continue;
    const double share = 1 - std::pow(traces / largest_, -s.rate);
    interval.low = std::min(interval.low, drops->low * share);
    interval.high = std::max(interval.high, std::min(drops->high * share, 1.0));
  }
  return interval;
}

TracesNeeded LearningCurve::needed(double coverage) const {
  TracesNeeded needed;
  const double farthest = kFarthest * largest_;
  if (plateau_ > coverage || (plateau_ == coverage && scaled_drop_ == 0)) {
    const double n = scaled_drop_ == 0 ? 0 : largest_ * std::pow(scaled_drop_ / (plateau_ - coverage), 1 / rate_);
    if (n <= farthest) needed.traces = n;
  }
  if (!plateau_interval_) return needed;
  needed.low = needed.high = needed.traces;
  bool endless = !needed.traces || plateau_interval_->low <= coverage;
  const double first = smallest_ / kFarthest;
  for (int i = 0; i <= kSizes; ++i) {
    const double n = first * std::pow(farthest / first, static_cast<double>(i) / kSizes);
    if (residual_through(n, coverage) > limit_) continue;
    if (!needed.low || n < *needed.low) needed.low = n;
    if (!needed.high || n > *needed.high) needed.high = n;
    if (i == kSizes) endless = true;
  }
  if (endless) needed.high.reset();
  return needed;
}

}  // namespace tracer
