#include "engine/policy/acceptor.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/logistic.h"

namespace tracer {
namespace {

// Of the coefficients of standardised features: a few hundred rows cannot tell 16 of them apart, and what they flatter
// is refused on certify rows. Figures: docs/decisions/acceptor-ridge.md.
constexpr double kMostRidge = 30;
constexpr double kRidgeRows = 15000;

}  // namespace

void acceptor_features(const RowFeatures& f, double label_frequency, std::span<double> out) {
  const double top1 = std::clamp<double>(f.top1, 1e-6, 1 - 1e-6);
  out[0] = logit(top1);
  out[1] = f.top1 - f.top2;
  out[2] = f.entropy;
  out[3] = logit(std::clamp<double>(f.softmax_p, 1e-6, 1 - 1e-6));
  out[4] = logit(std::clamp<double>(f.vote_p, 1e-3, 1 - 1e-3));
  out[5] = f.vote_share;
  out[6] = f.mean_distance_10;
  out[7] = 1 - f.nearest;
  out[8] = std::log(std::max(label_frequency, 1e-9));
  out[9] = std::log(top1) - std::log(std::clamp<double>(f.top2, 1e-6, 1.0));
  size_t next = 10;
  const auto add = [&](const MemberView& member) {
    out[next++] = logit(std::clamp<double>(member.p, 1e-6, 1 - 1e-6));
    out[next++] = member.margin;
    out[next++] = member.agrees;
  };
  add(f.linear);
  add(f.kernel);
  for (int32_t m = 0; m < f.n_added; ++m) add(f.added[static_cast<size_t>(m)]);
}

Acceptor fit_acceptor(std::span<const RowFeatures> features, std::span<const uint8_t> agree,
                      std::span<const double> label_frequency) {
  const int64_t n = static_cast<int64_t>(features.size());
  const int64_t p = acceptor_feature_count(features.empty() ? 0 : features[0].n_added);
  Matrix<double> design(n, p + 1);
  for (int64_t i = 0; i < n; ++i) {
    design(i, 0) = 1;
    acceptor_features(features[i], label_frequency[features[i].label], {design.row(i) + 1, static_cast<size_t>(p)});
  }
  return fit_acceptor(design.view(), agree);
}

Acceptor fit_acceptor(HostMatrix<double> design, std::span<const uint8_t> agree) {
  const int64_t n = design.rows, p = design.cols - 1;
  Acceptor acceptor;
  acceptor.mean.assign(p, 0.0);
  acceptor.scale.assign(p, 1.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < p; ++j) acceptor.mean[j] += design(i, j + 1) / static_cast<double>(n);
  for (int64_t j = 0; j < p; ++j) {
    double variance = 0;
    for (int64_t i = 0; i < n; ++i) {
      design(i, j + 1) -= acceptor.mean[j];
      variance += design(i, j + 1) * design(i, j + 1) / static_cast<double>(n);
    }
    if (variance > 1e-16) acceptor.scale[j] = std::sqrt(variance);
    for (int64_t i = 0; i < n; ++i) design(i, j + 1) /= acceptor.scale[j];
  }
  std::vector<double> ridge(p + 1,
                            std::clamp(kRidgeRows / static_cast<double>(std::max<int64_t>(n, 1)), 1.0, kMostRidge));
  ridge[0] = 1e-3;
  acceptor.coef = fit_logistic(design, agree, ridge).coef;
  return acceptor;
}

double accept_score(const Acceptor& acceptor, const RowFeatures& f, double label_frequency) {
  double x[kMostAcceptorFeatures];
  acceptor_features(f, label_frequency, x);
  return accept_score(acceptor, {x, static_cast<size_t>(acceptor_feature_count(f.n_added))}, f.label);
}

double accept_score(const Acceptor& acceptor, std::span<const double> features, int32_t label) {
  double z = acceptor.coef[0];
  for (size_t j = 0; j < features.size(); ++j)
    z += acceptor.coef[j + 1] * (features[j] - acceptor.mean[j]) / acceptor.scale[j];
  if (!acceptor.label_offset.empty()) z += acceptor.label_offset[static_cast<size_t>(label)];
  return sigmoid(std::clamp(z, -30.0, 30.0));  // stays inside (0, 1) in float64
}

}  // namespace tracer
