// The figures printed beside a certificate, from its counts. Absent where undefined, never NaN.
#pragma once

#include <optional>

#include "engine/policy/policy.h"

namespace tracer {

// Handled share of the certify rows; absent without rows or certificate.
std::optional<double> coverage(const Certificate& c);
// Clopper-Pearson 95 % interval of the coverage.
struct Interval {
  double low = 0, high = 1;
};
std::optional<Interval> coverage_interval(const Certificate& c);
std::optional<double> agreement(int64_t agree, int64_t handled);
// One-sided Clopper-Pearson lower bound at delta; where the unit is not a row it is alpha itself, which is what was
// proved.
std::optional<double> agreement_lower(const Certificate& c);
std::optional<double> agreement_lower(int64_t agree, int64_t handled, double delta);

}  // namespace tracer
