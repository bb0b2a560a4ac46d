#include "host/explain/boundary.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace tracer {

std::vector<BoundaryPair> find_boundary(const std::vector<ExplainedRow>& rows, HostMatrix<const float> x) {
  std::map<int32_t, std::vector<int64_t>> handled;  // by teacher label
  std::vector<int64_t> deferred;
  for (int64_t i = 0; i < x.rows; ++i) {
    const ExplainedRow& r = rows[static_cast<size_t>(i)];
    if (r.teacher < 0) continue;  // unknown labels may differ
    if (r.handled())
      handled[r.teacher].push_back(i);
    else
      deferred.push_back(i);
  }
  const auto score = [&](int64_t i) { return rows[static_cast<size_t>(i)].score; };
  std::stable_sort(deferred.begin(), deferred.end(), [&](int64_t a, int64_t b) { return score(a) > score(b); });
  if (deferred.size() > kMostBorderRows) deferred.resize(kMostBorderRows);
  std::vector<BoundaryPair> pairs;
  for (const int64_t d : deferred) {
    BoundaryPair best{-1, d, -2};
    for (const int64_t h : handled[rows[static_cast<size_t>(d)].teacher]) {
      const double similarity = std::inner_product(x.row(d), x.row(d) + x.cols, x.row(h), 0.0);
      if (similarity > best.similarity) best = {h, d, similarity};
    }
    if (best.handled >= 0) pairs.push_back(best);
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const BoundaryPair& a, const BoundaryPair& b) { return a.similarity > b.similarity; });
  if (pairs.size() > kMostPairs) pairs.resize(kMostPairs);
  return pairs;
}

}  // namespace tracer
