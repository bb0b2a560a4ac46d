#include "engine/gate.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tracer {
namespace {

constexpr double kQuantile = 0.995;
constexpr size_t kFewestRows = 200;
constexpr double kSameRow = 1e-4;  // copies of one row are this close, whatever the rounding: never out of distribution

// The smallest value with at least the quantile's share of the values at or below it.
double quantile(std::vector<double> values) {
  const auto rank = static_cast<int64_t>(std::ceil(kQuantile * static_cast<double>(values.size()))) - 1;
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return std::max(values[rank], kSameRow);
}

}  // namespace

OodGate fit_gate(std::span<const RowFeatures> out_of_fold, int64_t classes) {
  OodGate gate;
  std::vector<double> all;
  std::vector<std::vector<double>> by_label(classes);
  for (const RowFeatures& f : out_of_fold) {
    all.push_back(f.mean_distance_10);
    by_label[f.label].push_back(f.mean_distance_10);
  }
  if (!all.empty()) gate.global_limit = quantile(all);
  gate.label_limit.assign(classes, gate.global_limit);
  for (int64_t c = 0; c < classes; ++c)
    if (by_label[c].size() >= kFewestRows) gate.label_limit[c] = quantile(by_label[c]);
  return gate;
}

}  // namespace tracer
