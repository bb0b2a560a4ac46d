#include "engine/policy/gate.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tracer {
namespace {

constexpr size_t kFewestRows = 200;
constexpr double kDensity = 1;
constexpr double kConfidence = 0.1;
constexpr double kLeastProbability = 1e-6;  // below it the logarithm says nothing

// The smallest value with at most that share of the values beyond it.
double limit(std::vector<double> values, double share) {
  const auto n = static_cast<double>(values.size());
  const auto rank = static_cast<int64_t>(std::max(std::ceil((1 - share) * n), 1.0)) - 1;
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return std::max(values[rank], kSameRow);
}

}  // namespace

float neighbourhood_distance(std::span<const float> reference_distance, const int32_t* neighbour, int64_t k) {
  double sum = 0;
  int64_t near = 0;
  const int64_t most = reference_distance.empty() ? 0 : std::min(k, kNeighbourhood);
  for (; near < most && neighbour[near] >= 0; ++near)
    sum += static_cast<double>(reference_distance[static_cast<size_t>(neighbour[near])]);
  return near > 0 ? static_cast<float>(sum / static_cast<double>(near)) : 2.0f;
}

double outlier_score(const OodGate& gate, const RowFeatures& f) {
  const double d = f.mean_distance_10;
  return d + gate.density * (d - static_cast<double>(f.neighbourhood)) -
         gate.confidence * std::log(std::max<double>(f.top1, kLeastProbability));
}

OodGate fit_gate(std::span<const RowFeatures> features, int64_t classes, double share) {
  OodGate gate;
  gate.density = kDensity;
  gate.confidence = kConfidence;
  std::vector<double> all;
  std::vector<std::vector<double>> by_label(classes);
  for (const RowFeatures& f : features) {
    gate.reference_distance.push_back(f.mean_distance_10);
    all.push_back(outlier_score(gate, f));
    by_label[f.label].push_back(all.back());
  }
  if (!all.empty()) gate.global_limit = limit(all, share);
  gate.label_limit.assign(classes, gate.global_limit);
  for (int64_t c = 0; c < classes; ++c)
    if (by_label[c].size() >= kFewestRows) gate.label_limit[c] = limit(by_label[c], share);
  return gate;
}

double outlier_limit(const OodGate& gate, int32_t label) {
  return std::max(gate.global_limit, gate.label_limit[static_cast<size_t>(label)]);
}

bool out_of_distribution(const OodGate& gate, const RowFeatures& f) {
  return f.mean_distance_10 > kSameRow && outlier_score(gate, f) > outlier_limit(gate, f.label);
}

bool near_gate_limit(const OodGate& gate, const RowFeatures& f, double distance_error, double error) {
  const double p = std::max<double>(f.top1, kLeastProbability);
  const double band = (1 + gate.density) * distance_error + gate.confidence * error / p;
  return std::fabs(f.mean_distance_10 - kSameRow) <= distance_error ||
         std::fabs(outlier_score(gate, f) - outlier_limit(gate, f.label)) <= band;
}

}  // namespace tracer
