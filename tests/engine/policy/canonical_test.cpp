// Rows next to a boundary are decided by the canonical score: alike on every instruction set, wherever thresholds lie.
#include "engine/policy/canonical.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "engine/fit.h"
#include "tests/engine/logs.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using namespace testing;

std::vector<std::unique_ptr<Backend>> every_isa() {
  std::vector<std::unique_ptr<Backend>> found;
  for (const char* isa : {"avx512_amx", "avx512_bf16", "avx512_vnni", "avx512", "avx2"}) {
    BackendOptions options;
    options.device = "cpu";
    options.threads = 2;
    options.isa = isa;
    auto backend = make_backend(options);
    if (backend.ok()) found.push_back(std::move(backend).value());
  }
  return found;
}

struct Fitted {
  Stage stage;
  Matrix<float> x;
};

Fitted fitted(Backend& backend, int32_t classes) {
  Clusters log = clusters(4500, classes, 24, 0.9, 0.1, 7);
  EXPECT_TRUE(backend.normalise_rows(log.x.view()).ok());
  Matrix<float> seen(1500, 24);
  std::copy_n(log.x.data(), seen.size(), seen.data());
  FitOptions o;
  o.alpha = 0.8;
  auto made = fit(backend, traces_of({log.label.begin(), log.label.begin() + 1500}, classes), std::move(seen), o);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return {std::move(made->policy.stages[0]), std::move(log.x)};
}

std::vector<RowScore> scores(Backend& backend, const Fitted& f, std::vector<double> thresholds) {
  auto stage = prepare_stage(backend, f.stage, std::move(thresholds));
  EXPECT_TRUE(stage.ok());
  std::vector<RowScore> out;
  EXPECT_TRUE(score_rows(backend, *stage, std::as_const(f.x).view(), out).ok());
  return out;
}

TEST(Canonical, AgreesWithFloatScoresWithinATenthOfTheBand) {
  for (const auto& backend : every_isa()) {
    const Fitted f = fitted(*backend, 6);
    std::vector<RowScore> plain;
    Matrix<int32_t> neighbour;
    Matrix<float> similarity;
    ASSERT_TRUE(score_rows(*backend, f.stage, std::as_const(f.x).view(), plain, &neighbour, &similarity).ok());
    for (int64_t i = 0; i < f.x.rows(); ++i) {
      const RowScore& a = plain[static_cast<size_t>(i)];
      const RowScore b = canonical_score(f.stage, f.x.row(i), neighbour.row(i), similarity.row(i));
      ASSERT_NEAR(a.features.top1, b.features.top1, kTieBand / 10);
      ASSERT_NEAR(a.features.top2, b.features.top2, kTieBand / 10);
      ASSERT_NEAR(a.features.entropy, b.features.entropy, kTieBand / 10);
      ASSERT_NEAR(a.features.mean_distance_10, b.features.mean_distance_10, kDistanceBand / 10);
      ASSERT_EQ(a.features.nearest, b.features.nearest);
      if (a.features.top1 - a.features.top2 <= kTieBand) continue;
      ASSERT_EQ(a.features.label, b.features.label);
      ASSERT_EQ(a.features.vote_share, b.features.vote_share);
      ASSERT_NEAR(a.features.vote_p, b.features.vote_p, kTieBand / 10);
      ASSERT_NEAR(a.features.softmax_p, b.features.softmax_p, kTieBand / 10);
      ASSERT_NEAR(a.features.linear.p, b.features.linear.p, kTieBand / 10);
      ASSERT_NEAR(a.features.kernel.p, b.features.kernel.p, kTieBand / 10);
      ASSERT_NEAR(a.score, b.score, kScoreBand / 10);
      ASSERT_EQ(a.gated, b.gated);
    }
  }
}

// Thresholds between what two instruction sets say of a row, the worst that there are.
TEST(Canonical, SameDecisionsOnEveryInstructionSet) {
  const auto backends = every_isa();
  if (backends.size() < 2) GTEST_SKIP() << "one instruction set here";
  const Fitted f = fitted(*backends[0], 6);
  const std::vector<RowScore> first = scores(*backends[0], f, {}), last = scores(*backends.back(), f, {});
  std::vector<double> thresholds;
  for (size_t i = 0; i < first.size() && thresholds.size() < 40; ++i) {
    if (first[i].score != last[i].score) thresholds.push_back(std::min(first[i].score, last[i].score));
  }
  int64_t split = 0, differ = 0;
  const auto count = [&](const std::vector<RowScore>& a, const std::vector<RowScore>& b, int64_t& different) {
    for (double t : thresholds)
      for (size_t i = 0; i < a.size(); ++i) different += decide(a[i], {t, {}}) != decide(b[i], {t, {}});
  };
  count(first, last, split);
  EXPECT_GE(split, static_cast<int64_t>(thresholds.size()));
  const std::vector<RowScore> expected = scores(*backends[0], f, thresholds);
  for (const auto& backend : backends) {
    const std::vector<RowScore> got = scores(*backend, f, thresholds);
    count(expected, got, differ);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].features.label, expected[i].features.label);
  }
  EXPECT_EQ(differ, 0);
}

TEST(Canonical, TiesGoToTheLowerLabel) {
  Stage s;
  s.softmax.w = Matrix<float>(2, 3);
  s.softmax.b = {0, 0, 0};
  s.neighbours.references = Matrix<float>(1, 2);
  s.neighbours.label = {2};
  s.label_frequency = {0.3, 0.3, 0.4};
  s.acceptor = {std::vector<double>(16, 0.0), std::vector<double>(16, 1.0), std::vector<double>(17, 0.0), {}};
  s.gate.label_limit = {2, 2, 2};
  const float x[] = {1, 0}, similarity[15] = {};
  int32_t neighbour[15];
  std::fill_n(neighbour, 15, -1);
  const RowScore row = canonical_score(s, x, neighbour, similarity);
  EXPECT_EQ(row.features.label, 0);
  EXPECT_NEAR(row.features.entropy, 1, 1e-6);
  EXPECT_EQ(row.features.nearest, -2);
  EXPECT_EQ(row.features.mean_distance_10, 2);
  EXPECT_EQ(row.score, 0.5);
  EXPECT_TRUE(near_boundary(s, row, {}));
  RowScore clear = row;
  clear.features.top2 = 0;
  clear.features.mean_distance_10 = 1;
  EXPECT_FALSE(near_boundary(s, clear, {}));
  const double at[] = {0.5 + kScoreBand / 2};
  EXPECT_TRUE(near_boundary(s, clear, at));
  clear.features.mean_distance_10 = 2;
  EXPECT_TRUE(near_boundary(s, clear, {}));
}

}  // namespace
}  // namespace tracer
