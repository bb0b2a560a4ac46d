#include "engine/learn/cascade.h"

#include <algorithm>
#include <functional>

#include "engine/maths/binomial.h"
#include "engine/prove/rank_chain.h"

namespace tracer {
namespace {

constexpr double kAround[] = {0.8, 0.9, 1, 1.1, 1.25};  // times 1 - alpha
constexpr int64_t kThresholds = 64;

// Descending quantiles of the scores of the rows that the stage is open to, after 1 (no row): more and more rows.
std::vector<double> thresholds_of(const TextSide& text) {
  std::vector<double> score;
  for (size_t i = 0; i < text.score.size(); ++i)
    if (!text.closed[i]) score.push_back(text.score[i]);
  std::sort(score.begin(), score.end(), std::greater<>());
  std::vector<double> thresholds = {1};
  const auto n = static_cast<int64_t>(score.size());
  for (int64_t k = 1; k <= kThresholds && n > 0; ++k) {
    // The score of the first row that is left to the next stage; 0: none is.
    const int64_t rows = k * n / kThresholds;
    const double t = rows < n ? score[static_cast<size_t>(rows)] : 0.0;
    if (t < thresholds.back()) thresholds.push_back(t);
  }
  return thresholds;
}

}  // namespace

PairedRows pair_stages(const VectorSide& vectors, const TextSide& text, std::span<const int32_t> teacher,
                       double threshold) {
  PairedRows out;
  for (size_t i = 0; i < teacher.size(); ++i) {
    const bool by_text = !text.closed[i] && text.score[i] > threshold;
    const int32_t label = by_text ? text.predicted[i] : vectors.predicted[i];
    out.score.push_back(by_text ? text.score[i] : vectors.score[i]);
    out.predicted.push_back(label);
    out.disagree.push_back(label != teacher[i]);
    out.gated.push_back(by_text ? 0 : vectors.gated[i]);
    out.text.push_back(by_text);
  }
  return out;
}

std::vector<CascadePlan> plan_cascade(const VectorSide& vectors, const TextSide& text, std::span<const int32_t> teacher,
                                      std::span<const double> alphas, double delta, int64_t n_certify,
                                      double tolerance) {
  std::vector<CascadePlan> plans(alphas.size());
  const auto n = static_cast<int64_t>(teacher.size());
  if (n == 0 || n_certify == 0) return plans;
  const double ratio = static_cast<double>(n_certify) / static_cast<double>(n);
  std::vector<std::vector<std::vector<int64_t>>> allowed(alphas.size());  // by alpha and error rate around it
  for (size_t a = 0; a < alphas.size(); ++a)
    for (double factor : kAround)
      allowed[a].push_back(critical_values(n_certify, std::min(0.999, factor * (1 - alphas[a])), delta));
  for (const double t : thresholds_of(text)) {
    const PairedRows rows = pair_stages(vectors, text, teacher, t);
    const auto bad = disagreements_by_rank(eligible_scores(rows.score, rows.disagree, rows.gated));
    const double share =
        static_cast<double>(std::count(rows.text.begin(), rows.text.end(), 1)) / static_cast<double>(n);
    for (size_t a = 0; a < alphas.size(); ++a) {
      double coverage = 0;
      for (const auto& critical : allowed[a]) {
        auto r = static_cast<int64_t>(bad.size()) - 1;
        while (r > 0 && !(static_cast<double>(bad[static_cast<size_t>(r)]) * ratio <=
                          static_cast<double>(critical[static_cast<size_t>(static_cast<double>(r) * ratio)])))
          --r;
        coverage += static_cast<double>(r) / static_cast<double>(n) / static_cast<double>(std::size(kAround));
      }
      CascadePlan& plan = plans[a];
      if (t == 1) plan.coverage = plan.coverage_alone = coverage;
      if (share > plan.share && coverage > 0 && coverage >= plan.coverage_alone - tolerance) {
        plan.threshold = t, plan.share = share, plan.coverage = coverage;
      }
    }
  }
  return plans;
}

}  // namespace tracer
