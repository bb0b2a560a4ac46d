#include "engine/policy/canonical.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/policy/acceptor.h"
#include "engine/policy/added_member.h"
#include "engine/policy/gate.h"

namespace tracer {
namespace {

using Probabilities = std::vector<double>;

// softmax(temperature * z), in place.
void softmax(double temperature, Probabilities& z) {
  const double most = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (double& v : z) sum += v = std::exp(temperature * (v - most));
  for (double& v : z) v /= sum;
}

Probabilities linear_member(const Stage& stage, const float* x) {
  const int64_t classes = static_cast<int64_t>(stage.softmax.b.size());
  Probabilities z(stage.softmax.b.begin(), stage.softmax.b.end());
  for (int64_t k = 0; k < stage.softmax.w.rows(); ++k) {
    const float* w = stage.softmax.w.row(k);
    for (int64_t c = 0; c < classes; ++c) z[static_cast<size_t>(c)] += static_cast<double>(x[k]) * w[c];
  }
  softmax(1, z);
  return z;
}

Probabilities kernel_member(const KernelMember& member, const int32_t* neighbour, const float* similarity) {
  Probabilities y(member.prior.begin(), member.prior.end());
  for (int64_t j = 0; j < member.k && neighbour[j] >= 0; ++j) {
    const double kappa = std::pow(std::max(static_cast<double>(similarity[j]), 0.0), 8);
    const float* vote = member.vote.row(neighbour[j]);
    for (size_t c = 0; c < y.size(); ++c) y[c] += kappa * static_cast<double>(vote[c]);
  }
  softmax(member.temperature, y);
  return y;
}

// The plain vote of the neighbours, and what they say of a label.
struct Vote {
  Vote(const NeighbourMember& member, const int32_t* index, const float* s) : similarity(s) {
    for (; available < member.k && index[available] >= 0; ++available) {
      label.push_back(member.label[static_cast<size_t>(index[available])]);
      mass.push_back(std::pow(std::max(static_cast<double>(s[available]), 0.0), member.sharpness));
      total += mass.back();
    }
  }
  // p = (1 - weight) s + weight vote, in place.
  void add_to(double weight, Probabilities& s) const {
    if (weight == 0 || !(total > 0)) return;
    for (double& v : s) v *= 1 - weight;
    for (size_t j = 0; j < label.size(); ++j) s[static_cast<size_t>(label[j])] += weight * mass[j] / total;
  }
  void describe(DecisionFeatures& f) const {
    double same = 0, its_mass = 0, distance = 0;
    const int64_t near = std::min(available, kNeighbourhood);
    for (int64_t j = 0; j < near; ++j) distance += 1.0 - static_cast<double>(similarity[j]);
    for (size_t j = 0; j < label.size(); ++j) {
      if (label[j] != f.label) continue;
      ++same;
      its_mass += mass[j];
    }
    const double n = static_cast<double>(available);
    f.nearest = available > 0 ? similarity[0] : -2.0f;
    f.mean_distance_10 = near > 0 ? static_cast<float>(distance / static_cast<double>(near)) : 2.0f;
    f.vote_share = available > 0 ? static_cast<float>(same / n) : 0.0f;
    f.vote_p = total > 0 ? static_cast<float>(its_mass / total) : f.softmax_p;
  }

  const float* similarity;
  std::vector<int32_t> label;
  std::vector<double> mass;
  double total = 0;
  int64_t available = 0;
};

double entropy_of(const Probabilities& p) {
  if (p.size() < 2) return 0;
  double sum = 0;
  for (double v : p)
    if (v > 0) sum -= v * std::log(v);
  return std::clamp(sum / std::log(static_cast<double>(p.size())), 0.0, 1.0);
}

}  // namespace

bool near_boundary(const Stage& stage, const RowScore& row, std::span<const double> thresholds) {
  const auto within = [](double a, double b, double band) { return std::fabs(a - b) <= band; };
  const RowFeatures& f = row.features;
  if (within(f.top1, f.top2, kTieBand)) return true;
  if (near_gate_limit(stage.gate, f, kDistanceBand, kTieBand)) return true;
  return std::any_of(thresholds.begin(), thresholds.end(), [&](double t) { return within(row.score, t, kScoreBand); });
}

RowScore canonical_score(const Stage& stage, const float* x, const int32_t* neighbour, const float* similarity) {
  const Probabilities linear = linear_member(stage, x);
  Probabilities kernel, p = linear;
  std::vector<Probabilities> added;
  double rest = 1;
  for (const AddedMember& m : stage.added) {
    added.push_back(canonical_member(m, x, stage.softmax.w.rows()));
    rest -= static_cast<double>(m.weight);
  }
  if (!added.empty()) {
    for (double& v : p) v *= rest;
    for (size_t m = 0; m < added.size(); ++m)
      for (size_t c = 0; c < p.size(); ++c) p[c] += static_cast<double>(stage.added[m].weight) * added[m][c];
  }
  if (!stage.kernel.vote.empty()) {
    kernel = kernel_member(stage.kernel, neighbour, similarity);
    const double u = stage.kernel_weight;
    for (size_t c = 0; c < p.size(); ++c) p[c] = (1 - u) * p[c] + u * kernel[c];
  }
  const Probabilities s = p;
  const Vote vote(stage.neighbours, neighbour, similarity);
  vote.add_to(stage.vote_weight, p);
  const auto classes = static_cast<int64_t>(p.size());
  const Answer<double> best = answer_of(p.data(), classes);

  RowScore row;
  RowFeatures& f = row.features;
  f.label = best.label;
  f.top1 = static_cast<float>(best.top1);
  f.top2 = static_cast<float>(best.top2);
  f.entropy = static_cast<float>(entropy_of(p));
  f.softmax_p = static_cast<float>(s[static_cast<size_t>(best.label)]);
  vote.describe(f);
  f.linear = member_view(linear.data(), classes, best.label);
  if (!kernel.empty()) f.kernel = member_view(kernel.data(), classes, best.label);
  for (const Probabilities& member : added)
    f.added[static_cast<size_t>(f.n_added++)] = member_view(member.data(), classes, best.label);
  row.score = accept_score(stage.acceptor, f, stage.label_frequency[static_cast<size_t>(best.label)]);
  f.neighbourhood = neighbourhood_distance(stage.gate.reference_distance, neighbour, stage.neighbours.k);
  row.gated = out_of_distribution(stage.gate, f);
  return row;
}

}  // namespace tracer
