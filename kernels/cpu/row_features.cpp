#include "kernels/cpu/row_features.h"

#include <algorithm>
#include <cmath>

namespace tracer::cpu {
namespace {

constexpr int64_t kDistanceNeighbours = 10;

// Fills the unnormalised votes; returns their sum, 0 when nobody votes. In float64: a power of a float32 similarity
// loses digits in float32, and a vote is at most 64 numbers.
double cast_votes(int64_t classes, const RowVote& vote, double* mass) {
  std::fill_n(mass, classes, 0.0);
  double total = 0;
  for (size_t j = 0; j < vote.neighbour.size(); ++j) {
    if (vote.neighbour[j] < 0) continue;
    const double similarity = std::max(static_cast<double>(vote.similarity[j]), 0.0);
    const double w = vote.sharpness == 1.0f ? similarity : std::pow(similarity, static_cast<double>(vote.sharpness));
    mass[vote.reference_label[static_cast<size_t>(vote.neighbour[j])]] += w;
    total += w;
  }
  return total;
}

void describe_neighbours(const RowVote& vote, DecisionFeatures& f) {
  int64_t available = 0, same = 0;
  double distance = 0;
  f.nearest = -2.0f;
  for (size_t j = 0; j < vote.neighbour.size(); ++j) {
    if (vote.neighbour[j] < 0) continue;
    if (available == 0) f.nearest = vote.similarity[j];
    if (available < kDistanceNeighbours) distance += 1.0 - static_cast<double>(vote.similarity[j]);
    ++available;
    same += vote.reference_label[static_cast<size_t>(vote.neighbour[j])] == f.label;
  }
  const int64_t near = std::min(available, kDistanceNeighbours);
  f.mean_distance_10 = near > 0 ? static_cast<float>(distance / static_cast<double>(near)) : 2.0f;
  f.vote_share = available > 0 ? static_cast<float>(static_cast<double>(same) / static_cast<double>(available)) : 0.0f;
}

}  // namespace

DecisionFeatures row_features(const IsaKernels& isa, int64_t classes, const float* softmax, const RowVote& vote,
                              double* vote_mass, float* p) {
  const double total = cast_votes(classes, vote, vote_mass);
  const bool votes = total > 0;
  const double inverse = votes ? 1.0 / total : 0.0;
  const auto vote_p = [&](int64_t c) { return votes ? static_cast<float>(vote_mass[c] * inverse) : softmax[c]; };
  if (votes && vote.weight != 0.0f) {
    const float keep = 1.0f - vote.weight;
    for (int64_t c = 0; c < classes; ++c) p[c] = keep * softmax[c] + vote.weight * vote_p(c);
  } else {
    std::copy_n(softmax, classes, p);
  }

  DecisionFeatures f;
  for (int64_t c = 1; c < classes; ++c) {
    if (p[c] > p[f.label]) f.label = static_cast<int32_t>(c);
  }
  f.top1 = p[f.label];
  f.top2 = 0;
  for (int64_t c = 0; c < classes; ++c) {
    if (c != f.label) f.top2 = std::max(f.top2, p[c]);
  }
  if (classes > 1) {
    const double scaled = static_cast<double>(isa.entropy_row(p, classes)) / std::log(static_cast<double>(classes));
    f.entropy = std::clamp(static_cast<float>(scaled), 0.0f, 1.0f);
  }
  f.softmax_p = softmax[f.label];
  f.vote_p = vote_p(f.label);
  describe_neighbours(vote, f);
  return f;
}

}  // namespace tracer::cpu
