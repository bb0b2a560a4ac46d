// What the tests of the rank chain share.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/prove/rank_chain.h"

namespace tracer {

struct Rows {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
};

inline ChainPlan range(int64_t a, int64_t b) { return {true, a, b, 0, 0}; }

inline CertifyOutcome certify(const Rows& rows, const ChainPlan& plan, double alpha, double delta,
                              int64_t n_certify = -1) {
  const auto n = static_cast<int64_t>(rows.score.size());
  return certify_by_rank(rows.score, rows.disagree, n_certify < 0 ? n : n_certify, plan, alpha, delta);
}

// Scores falling from 0.99 in steps of 0.01, so that rank r has score 1 - r / 100.

}  // namespace tracer
