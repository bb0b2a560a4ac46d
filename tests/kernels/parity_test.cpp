#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

class Parity : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Parity);

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Log {
  std::vector<float> score;
  std::vector<uint8_t> agree;
  std::vector<int64_t> begin{0};
  Matrix<int32_t> allowed;
  ParitySweepProblem problem() const { return {score, agree, begin, allowed.view()}; }
  int64_t segments() const { return static_cast<int64_t>(begin.size()) - 1; }
};

// `levels` distinct scores (0: as good as all distinct), of both signs and with both zeros.
Log random_log(const std::vector<int64_t>& lengths, uint32_t levels, int64_t alphas, bool monotone, uint32_t seed) {
  std::mt19937 rng(seed);
  Log log;
  int64_t longest = 0;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < length; ++i) {
      float s = static_cast<float>(static_cast<double>(rng()) / 4294967296.0 - 0.3);
      if (levels > 0) s = static_cast<float>(static_cast<int>(rng() % levels) - static_cast<int>(levels / 3)) * 0.125f;
      if (s == 0.0f && rng() % 2 == 0) s = -0.0f;
      log.score.push_back(s);
      log.agree.push_back(rng() % 10 == 0 ? 0 : static_cast<uint8_t>(1 + rng() % 2));
    }
    log.begin.push_back(static_cast<int64_t>(log.score.size()));
    longest = std::max(longest, length);
  }
  log.allowed = Matrix<int32_t>(alphas, longest + 1);
  for (int64_t a = 0; a < alphas; ++a) {
    for (int64_t r = 0; r <= longest; ++r) {
      const double rate = 0.02 + 0.03 * static_cast<double>(a);
      log.allowed(a, r) = monotone ? static_cast<int32_t>(rate * static_cast<double>(r)) - (r < 20 ? 1 : 0)
                                   : static_cast<int32_t>(rng() % (1 + static_cast<uint32_t>(r) / 5)) - 1;
    }
  }
  return log;
}

// Straight from the contract: for each alpha, from the longest prefix down.
ParityPoint expected(const Log& log, int64_t s, int64_t a) {
  const int64_t begin = log.begin[static_cast<size_t>(s)], rows = log.begin[static_cast<size_t>(s) + 1] - begin;
  std::vector<std::pair<float, int>> sorted;
  for (int64_t i = begin; i < begin + rows; ++i) {
    sorted.emplace_back(log.score[static_cast<size_t>(i)], log.agree[static_cast<size_t>(i)] == 0);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
  const auto score = [&](int64_t r) { return sorted[static_cast<size_t>(r)].first; };
  for (int64_t r = rows; r > 0; --r) {
    if (r < rows && score(r) == score(r - 1)) continue;
    int64_t disagree = 0;
    for (int64_t i = 0; i < r; ++i) disagree += sorted[static_cast<size_t>(i)].second;
    if (disagree <= log.allowed(a, r)) return {r, disagree, r < rows ? score(r) : -kInfinity};
  }
  return {0, 0, rows > 0 ? score(0) : kInfinity};
}

void check(Backend& backend, const Log& log) {
  Matrix<ParityPoint> out(log.segments(), log.allowed.rows());
  ASSERT_OK(backend.parity_sweep(log.problem(), out.view()));
  for (int64_t s = 0; s < out.rows(); ++s) {
    for (int64_t a = 0; a < out.cols(); ++a) {
      SCOPED_TRACE(testing::Message() << "segment " << s << ", alpha " << a);
      const ParityPoint e = expected(log, s, a), f = out(s, a);
      ASSERT_EQ(f.handled, e.handled);
      ASSERT_EQ(f.disagree, e.disagree);
      ASSERT_EQ(f.score_next, e.score_next);
      int64_t above = 0;
      for (int64_t i = log.begin[static_cast<size_t>(s)]; i < log.begin[static_cast<size_t>(s) + 1]; ++i) {
        above += log.score[static_cast<size_t>(i)] > f.score_next;
      }
      ASSERT_EQ(above, f.handled);  // what the threshold promises
    }
  }
}

TEST_P(Parity, MatchesTheOracleAtEveryEdge) {
  uint32_t seed = 0;
  for (const std::vector<int64_t>& lengths : std::vector<std::vector<int64_t>>{
           {}, {0}, {1}, {2}, {0, 3, 0, 5, 0}, {255, 256, 257}, {1009}, {1, 64, 63, 65}, {700, 1, 1300}}) {
    for (const uint32_t levels : {0u, 1u, 2u, 7u, 100u}) {
      for (const bool monotone : {true, false}) {
        for (const int64_t alphas : {0, 1, 7}) {
          SCOPED_TRACE(testing::Message() << "levels " << levels << ", monotone " << monotone << ", seed " << seed);
          check(*backend, random_log(lengths, levels, alphas, monotone, ++seed));
        }
      }
    }
  }
}

TEST_P(Parity, ALargeSegment) { check(*backend, random_log({20011}, 0, 1, true, 5)); }

TEST_P(Parity, ExtremeScores) {
  Log log;
  log.score = {kInfinity, -kInfinity, 0.0f, -0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f};
  log.agree = {1, 0, 1, 1, 1, 1, 1, 0};
  log.begin = {0, 8};
  log.allowed = Matrix<int32_t>(3, 9);
  for (int64_t r = 0; r <= 8; ++r) log.allowed(1, r) = 1, log.allowed(2, r) = -1;
  check(*backend, log);
}

TEST_P(Parity, SameBytesForAnyNumberOfThreads) {
  const Log log = random_log({5000, 1, 777, 4096, 0, 12}, 50, 7, true, 9);
  Matrix<ParityPoint> one(6, 7), many(6, 7);
  ASSERT_OK(test::make(GetParam(), 1)->parity_sweep(log.problem(), one.view()));
  for (const int threads : {2, 3, 7}) {
    ASSERT_OK(test::make(GetParam(), threads)->parity_sweep(log.problem(), many.view()));
    for (int64_t i = 0; i < one.size(); ++i) {
      ASSERT_EQ(one.data()[i].handled, many.data()[i].handled);
      ASSERT_EQ(one.data()[i].disagree, many.data()[i].disagree);
      ASSERT_EQ(one.data()[i].score_next, many.data()[i].score_next);
    }
  }
}

TEST_P(Parity, RefusesWhatDoesNotFit) {
  Log log = random_log({5, 6}, 0, 2, true, 3);
  Matrix<ParityPoint> out(2, 2), narrow(2, 1);
  EXPECT_EQ(backend->parity_sweep(log.problem(), narrow.view()).code(), ErrorCode::kInternal);
  log.begin[1] = 12;
  EXPECT_EQ(backend->parity_sweep(log.problem(), out.view()).code(), ErrorCode::kInternal);
  log.begin[1] = 2;  // the second segment has 9 rows: allowed is too short
  EXPECT_EQ(backend->parity_sweep(log.problem(), out.view()).code(), ErrorCode::kInternal);
  log.begin.clear();
  EXPECT_EQ(backend->parity_sweep(log.problem(), out.view()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
