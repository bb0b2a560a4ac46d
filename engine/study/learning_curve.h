// Coverage against the number of traces, as a power law that levels off: coverage(n) = plateau - drop * n^-rate.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/prove/figures.h"
#include "kernels/status.h"

namespace tracer {

// What one fit of a log of that size reached.
struct CurvePoint {
  double traces = 0;    // > 0
  double coverage = 0;  // in [0, 1]
};

// How large a log has to be for a coverage. Absent: out of reach, or beyond kFarthest times the largest log seen.
struct TracesNeeded {
  std::optional<double> traces;
  std::optional<double> low, high;
};

// Weighted least squares, plateau <= 1, drop >= 0 (more traces do no harm), rate on a fixed grid in [0.05, 2]. The
// weight of a point is n^k, with k in [0, 4] read off how its scatter at one size falls with the size (1 where no two
// sizes have several points): near the ceiling coverage scatters far less than where certification just begins.
// Intervals are profiles: the values that raise the sum of squares by no more than the F(1, points - 3) quantile
// allows. They hold when the points scatter independently around such a curve; fits of one log share its rows, so what
// another log would give is not in them. Preferred to a bootstrap of the seeds, which with five of them is too narrow
// and cannot tell when a target is out of reach. Deterministic.
class LearningCurve {
 public:
  static constexpr double kLevel = 0.90;  // of the intervals
  static constexpr double kFarthest = 1000;

  // kRefused, with the reason, for points of fewer than 3 sizes; kBadInput for points that are none.
  static Result<LearningCurve> fit(const std::vector<CurvePoint>& points);

  double plateau() const { return plateau_; }
  double drop() const;  // at n = 1
  double rate() const { return rate_; }
  double at(double traces) const;
  // at(traces) - at(the largest log seen), for traces beyond it; the interval is absent where plateau_interval() is.
  double gain(double traces) const;
  std::optional<Interval> gain_interval(double traces) const;
  // Absent with 3 points, which leave no freedom to judge by.
  std::optional<Interval> plateau_interval() const { return plateau_interval_; }
  // Half the width of the interval for the coverage of one fit of the largest log around the curve; 0 where
  // plateau_interval() is absent.
  double scatter() const { return scatter_; }
  // low and high are absent too where there is no interval.
  TracesNeeded needed(double coverage) const;

 private:
  // Weighted sums over the points, with z = (n / largest)^-rate.
  struct Sums {
    double rate = 0, w = 0, y = 0, yy = 0, z = 0, zz = 0, zy = 0;
    double residual(double a, double b) const;
    double best_drop(double a) const;
    // The scaled drops b >= 0 that some plateau <= 1 gives a residual of at most `limit`: an interval, or nothing.
    std::optional<Interval> drops(double limit) const;
  };
  double residual_at_plateau(double a) const;
  double residual_through(double traces, double coverage) const;

  std::vector<Sums> sums_;  // by rate
  double smallest_ = 0, largest_ = 0;
  double plateau_ = 0, scaled_drop_ = 0, rate_ = 0;
  double scatter_ = 0;
  double limit_ = 0;  // residuals up to this belong to the intervals
  std::optional<Interval> plateau_interval_;
};

// t with P(|T| <= t) = level, T of Student's distribution with that many degrees of freedom (>= 1).
double student_t_quantile(double level, int64_t freedom);

}  // namespace tracer
