// A whole policy on the CUDA backend's own source and on the CPU: the same decisions, with thresholds laid between what
// the two say of a row.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "engine/fit.h"
#include "engine/policy/router.h"
#include "tests/engine/logs.h"
#include "tests/engine/support.h"
#include "tests/simt/simt_backend.h"

namespace tracer {
namespace {

std::vector<RowScore> scores(Backend& backend, const Stage& stage, const Matrix<float>& x,
                             std::vector<double> thresholds) {
  auto prepared = prepare_stage(backend, stage, std::move(thresholds));
  EXPECT_TRUE(prepared.ok()) << prepared.status().message();
  std::vector<RowScore> out;
  const Status scored = score_rows(backend, *prepared, x.view(), out);
  EXPECT_TRUE(scored.ok()) << scored.message();
  return out;
}

TEST(SamePolicy, DecidesAlikeOnTheCudaSource) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer cannot follow the harness's fibers";
#endif
  BackendOptions options;
  options.device = "cpu";
  const auto cpu = std::move(make_backend(options)).value();
  testing::Clusters log = testing::clusters(360, 4, 12, 0.9, 0.1, 7);
  ASSERT_TRUE(cpu->normalise_rows(log.x.view()).ok());
  Matrix<float> seen(240, 12), x(120, 12);
  std::copy_n(log.x.data(), seen.size(), seen.data());
  std::copy_n(log.x.row(240), x.size(), x.data());
  FitOptions o;
  o.alpha = 0.7;
  auto made = fit(*cpu, testing::traces_of({log.label.begin(), log.label.begin() + 240}, 4), std::move(seen), o);
  ASSERT_TRUE(made.ok()) << made.status().message();
  const Stage& stage = made->policy.stages.at(0);

  const auto cuda = simt::make_backend();
  const auto plain = scores(*cpu, stage, x, {}), other = scores(*cuda, stage, x, {});
  std::vector<double> thresholds;
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_NEAR(plain[i].score, other[i].score, 1e-5);
    if (plain[i].score != other[i].score) thresholds.push_back(std::min(plain[i].score, other[i].score));
  }
  const auto expected = scores(*cpu, stage, x, thresholds), got = scores(*cuda, stage, x, thresholds);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].features.label, expected[i].features.label);
    for (double t : thresholds) EXPECT_EQ(decide(got[i], {t, {}}), decide(expected[i], {t, {}})) << "row " << i;
  }
}

}  // namespace
}  // namespace tracer
