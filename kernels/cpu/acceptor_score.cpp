#include "kernels/cpu/acceptor_score.h"

#include <algorithm>
#include <cmath>

namespace tracer::cpu {
namespace {

double logit(double p) { return std::log(p / (1 - p)); }
double between(double x, double edge) { return std::clamp(x, edge, 1 - edge); }

}  // namespace

float acceptor_score(const LinearAcceptor& acceptor, const DecisionFeatures& f) {
  const double top1 = between(static_cast<double>(f.top1), 1e-6);
  const double top2 = std::clamp(static_cast<double>(f.top2), 1e-6, 1.0);
  const double frequency = acceptor.label_frequency[static_cast<size_t>(f.label)];
  const double phi[LinearAcceptor::kFeatures] = {logit(top1),
                                                 static_cast<double>(f.top1 - f.top2),
                                                 static_cast<double>(f.entropy),
                                                 logit(between(static_cast<double>(f.softmax_p), 1e-6)),
                                                 logit(between(static_cast<double>(f.vote_p), 1e-3)),
                                                 static_cast<double>(f.vote_share),
                                                 static_cast<double>(f.mean_distance_10),
                                                 static_cast<double>(1 - f.nearest),
                                                 std::log(std::max(frequency, 1e-9)),
                                                 std::log(top1 / top2)};
  double z = acceptor.coef[0];
  for (size_t j = 0; j < LinearAcceptor::kFeatures; ++j) {
    z += acceptor.coef[j + 1] * (phi[j] - acceptor.mean[j]) / acceptor.scale[j];
  }
  return static_cast<float>(1 / (1 + std::exp(-std::clamp(z, -30.0, 30.0))));
}

}  // namespace tracer::cpu
