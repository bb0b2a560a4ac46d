#include "engine/study/growth.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/maths/random.h"
#include "engine/policy/router.h"

namespace tracer {
namespace {

// The new number of each unit; -1: not drawn.
std::vector<int32_t> draw_units(int64_t units, double share, const Random& random, uint64_t first_counter) {
  const auto wanted = static_cast<size_t>(std::ceil(share * static_cast<double>(units)));
  std::vector<int32_t> number(static_cast<size_t>(units), -1);
  const std::vector<int32_t> order = random.permutation(units, first_counter);
  for (size_t i = 0; i < std::min(wanted, order.size()); ++i)
    number[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  return number;
}

void keep_drawn(const std::vector<int32_t>& row, const std::vector<int32_t>& unit, const std::vector<int32_t>& number,
                std::vector<int32_t>& rows, std::vector<int32_t>& units, std::vector<int32_t>& unused) {
  for (size_t i = 0; i < row.size(); ++i) {
    const int32_t drawn = number[static_cast<size_t>(unit[i])];
    if (drawn < 0)
      unused.push_back(row[i]);
    else
      rows.push_back(row[i]), units.push_back(drawn);
  }
}

}  // namespace

Split share_of(const Split& split, double share, uint64_t draw) {
  const Random random(draw, Stream::kSubsample);
  const int64_t units = count_units(split.unit), certify_units = count_units(split.certify_unit);
  Split part;
  part.kind = split.kind, part.reason = split.reason, part.unit_rows = split.unit_rows;
  part.unused = split.unused;
  keep_drawn(split.learn, split.unit, draw_units(units, share, random, 0), part.learn, part.unit, part.unused);
  keep_drawn(split.certify, split.certify_unit, draw_units(certify_units, share, random, static_cast<uint64_t>(units)),
             part.certify, part.certify_unit, part.unused);
  std::sort(part.unused.begin(), part.unused.end());
  const int64_t drawn = count_units(part.unit);
  part.folds = static_cast<int>(std::min<int64_t>(split.folds, drawn));
  if (part.folds < 2) part.folds = 0;
  // Units are numbered in a random order already.
  for (const int32_t u : part.unit) part.fold.push_back(part.folds == 0 ? 0 : u % part.folds);
  if (split.kind == SplitKind::kGroups) {
    std::vector<int64_t> size(static_cast<size_t>(drawn));
    for (const int32_t u : part.unit) ++size[static_cast<size_t>(u)];
    part.unit_rows = size.empty() ? 1 : *std::max_element(size.begin(), size.end());
  }
  return part;
}

Result<GrowthFit> growth_fit(Backend& backend, const Traces& log, const Matrix<float>& x, const Split& split,
                             double share, uint64_t draw, FitOptions options, HostMatrix<const float> rows) {
  options.given_split = share_of(split, share, draw);
  options.split.seed = draw;
  TRACER_ASSIGN_OR_RETURN(auto fitted, fit(backend, log, x.clone(), options));
  const Policy& policy = fitted.policy;
  GrowthFit out;
  out.share = share;
  out.answer.assign(static_cast<size_t>(rows.rows), -1);
  out.handled.assign(static_cast<size_t>(rows.rows), 0);
  const Certificate* c = policy.certificate(options.alpha);
  if (c == nullptr || !c->certified || policy.stages.empty()) return out;
  out.certified = true;
  const DecisionRule rule = decision_rule(policy, *c);
  TRACER_ASSIGN_OR_RETURN(auto stage, prepare_stage(backend, policy.stages[0], {c->threshold}, rows.rows));
  std::vector<RowScore> scores;
  for (int64_t first = 0; first < rows.rows; first += kScoredTogether) {
    const int64_t n = std::min(kScoredTogether, rows.rows - first);
    TRACER_RETURN_IF_ERROR(score_rows(backend, stage, rows.rows_from(first, n), scores));
    for (int64_t i = 0; i < n; ++i) {
      const RowScore& score = scores[static_cast<size_t>(i)];
      out.answer[static_cast<size_t>(first + i)] = score.features.label;
      out.handled[static_cast<size_t>(first + i)] = decide(score, rule) == Reason::kAccepted;
    }
  }
  return out;
}

}  // namespace tracer
