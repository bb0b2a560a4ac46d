#include "host/explain/suspects.h"

#include <algorithm>

namespace tracer {

std::vector<int64_t> find_suspects(const std::vector<ExplainedRow>& rows) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ExplainedRow& r = rows[i];
    if (r.teacher >= 0 && !r.agrees() && r.decision != Reason::kOutOfDistribution && r.vote_label >= 0.5f)
      out.push_back(static_cast<int64_t>(i));
  }
  const auto odds = [&](int64_t i) {
    const ExplainedRow& r = rows[static_cast<size_t>(i)];
    return r.p_teacher / r.p1;
  };
  std::stable_sort(out.begin(), out.end(), [&](int64_t a, int64_t b) { return odds(a) < odds(b); });
  if (out.size() > kMostSuspects) out.resize(kMostSuspects);
  return out;
}

}  // namespace tracer
