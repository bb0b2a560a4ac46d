#include "kernels/cpu/parity.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace tracer::cpu {
namespace {

Status check(const ParitySweepProblem& p, HostMatrix<ParityPoint> out) {
  const int64_t n = static_cast<int64_t>(p.score.size()), segments = static_cast<int64_t>(p.segment_begin.size()) - 1;
  if (p.agree.size() != p.score.size()) return internal_error("parity_sweep: one flag for each score");
  if (segments < 0 || p.segment_begin.front() != 0 || p.segment_begin.back() != n) {
    return internal_error("parity_sweep: segments must cover the rows");
  }
  int64_t longest = 0;
  for (size_t s = 0; s < static_cast<size_t>(segments); ++s) {
    const int64_t rows = p.segment_begin[s + 1] - p.segment_begin[s];
    if (rows < 0) return internal_error("parity_sweep: segments must ascend");
    longest = std::max(longest, rows);
  }
  if (longest > std::numeric_limits<int32_t>::max()) return internal_error("parity_sweep: a segment is too long");
  if (p.allowed.cols < longest + 1) return internal_error("parity_sweep: allowed must cover the longest segment");
  if (out.rows != segments || out.cols != p.allowed.rows) return internal_error("parity_sweep: out must be S x A");
  return {};
}

void sweep_segment(const ParitySweepProblem& p, int64_t begin, int64_t rows, ParityPoint* out) {
  const int64_t alphas = p.allowed.rows;
  std::vector<int64_t> order(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) order[static_cast<size_t>(i)] = begin + i;
  const auto score = [&](int64_t r) { return p.score[static_cast<size_t>(order[static_cast<size_t>(r)])]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    return p.score[static_cast<size_t>(i)] > p.score[static_cast<size_t>(j)];
  });
  const float none = std::numeric_limits<float>::infinity();
  for (int64_t a = 0; a < alphas; ++a) out[a] = {0, 0, rows > 0 ? score(0) : none};
  int64_t disagree = 0;
  for (int64_t r = 1; r <= rows; ++r) {
    disagree += p.agree[static_cast<size_t>(order[static_cast<size_t>(r - 1)])] == 0;
    if (r < rows && score(r) == score(r - 1)) continue;
    for (int64_t a = 0; a < alphas; ++a) {
      if (disagree <= p.allowed(a, r)) out[a] = {r, disagree, r < rows ? score(r) : -none};
    }
  }
}

}  // namespace

Status parity_sweep(const Context& context, const ParitySweepProblem& p, HostMatrix<ParityPoint> out) {
  if (p.segment_begin.empty()) return internal_error("parity_sweep: segment_begin has S + 1 entries");
  TRACER_RETURN_IF_ERROR(check(p, out));
  run(*context.pool, out.rows, [&](int64_t s, int) {
    const int64_t begin = p.segment_begin[static_cast<size_t>(s)];
    sweep_segment(p, begin, p.segment_begin[static_cast<size_t>(s) + 1] - begin, out.row(s));
  });
  return {};
}

}  // namespace tracer::cpu
