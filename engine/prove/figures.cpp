#include "engine/prove/figures.h"

#include "engine/maths/binomial.h"

namespace tracer {

std::optional<double> coverage(const Certificate& c) {
  if (!c.certified || c.n_certify == 0) return std::nullopt;
  return static_cast<double>(c.n_handled) / static_cast<double>(c.n_certify);
}

std::optional<Interval> coverage_interval(const Certificate& c) {
  if (!c.certified || c.n_certify == 0) return std::nullopt;
  return Interval{clopper_pearson_lower(c.n_handled, c.n_certify, 0.025),
                  clopper_pearson_upper(c.n_handled, c.n_certify, 0.025)};
}

std::optional<double> agreement(int64_t agree, int64_t handled) {
  if (handled == 0) return std::nullopt;
  return static_cast<double>(agree) / static_cast<double>(handled);
}

std::optional<double> agreement_lower(int64_t agree, int64_t handled, double delta) {
  if (handled == 0) return std::nullopt;
  return clopper_pearson_lower(agree, handled, delta);
}

std::optional<double> agreement_lower(const Certificate& c) {
  if (!c.certified) return std::nullopt;
  if (c.unit != ProofUnit::kRows) return c.alpha;
  return agreement_lower(c.n_agree, c.n_handled, c.delta);
}

}  // namespace tracer
