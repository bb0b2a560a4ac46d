#include "engine/policy/acceptor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

RowFeatures features(Draws& draws) {
  RowFeatures f;
  f.label = static_cast<int32_t>(draws.below(3));
  f.top1 = static_cast<float>(0.34 + 0.66 * draws.uniform());
  f.top2 = (1 - f.top1) * 0.8f;
  f.entropy = 1 - f.top1;
  f.softmax_p = f.linear.p = f.kernel.p = f.top1;
  f.vote_p = static_cast<float>(draws.uniform());
  f.vote_share = std::round(f.vote_p * 15) / 15;
  f.nearest = 0.9f;
  f.mean_distance_10 = static_cast<float>(0.5 * draws.uniform());
  return f;
}

const std::vector<double> kFrequency = {0.5, 0.3, 0.2};

TEST(Acceptor, FeaturesAreFiniteAtEveryEdge) {
  for (float p : {0.0f, 1e-30f, 0.5f, 1.0f})
    for (float other : {0.0f, 0.5f, 1.0f})
      for (float nearest : {-2.0f, -1.0f, 0.0f, 1.0f})
        for (double frequency : {0.0, 1e-9, 1.0}) {
          RowFeatures f;
          f.top1 = p, f.top2 = other, f.entropy = other, f.softmax_p = f.linear.p = p,
          f.vote_p = f.kernel.p = f.kernel.margin = other, f.vote_share = p;
          f.nearest = nearest, f.mean_distance_10 = 1 - nearest;
          double out[kAcceptorFeatures];
          acceptor_features(f, frequency, out);
          for (double v : out) EXPECT_TRUE(std::isfinite(v));
        }
}

TEST(Acceptor, LearnsToRank) {
  Draws draws(3);
  std::vector<RowFeatures> rows;
  std::vector<uint8_t> agree;
  for (int i = 0; i < 3000; ++i) {
    rows.push_back(features(draws));
    agree.push_back(draws.uniform() < 0.2 + 0.8 * rows.back().top1 * rows.back().vote_p);
  }
  const Acceptor acceptor = fit_acceptor(rows, agree, kFrequency);
  ASSERT_EQ(acceptor.coef.size(), static_cast<size_t>(kAcceptorFeatures + 1));
  double yes = 0, no = 0, sum = 0;
  for (int i = 0; i < 3000; ++i) {
    const double s = accept_score(acceptor, rows[i], kFrequency[rows[i].label]);
    (agree[i] ? yes : no) += s;
    sum += s;
  }
  const double agreed = static_cast<double>(std::count(agree.begin(), agree.end(), 1));
  EXPECT_GT(yes / agreed, no / (3000 - agreed) + 0.1);
  EXPECT_NEAR(sum / 3000, agreed / 3000, 0.01) << "calibrated in the mean";
}

TEST(Acceptor, DegenerateData) {
  Draws draws(4);
  std::vector<RowFeatures> varied, constant(500, features(draws));
  for (int i = 0; i < 500; ++i) varied.push_back(features(draws));
  for (const auto* rows : {&varied, &constant})
    for (uint8_t answer : {0, 1}) {
      const std::vector<uint8_t> agree(500, answer);
      const Acceptor acceptor = fit_acceptor(*rows, agree, kFrequency);
      for (double c : acceptor.coef) EXPECT_TRUE(std::isfinite(c));
      for (double s : acceptor.scale) EXPECT_TRUE(s > 0);
      for (const auto& f : *rows) {
        const double s = accept_score(acceptor, f, kFrequency[f.label]);
        ASSERT_TRUE(s > 0 && s < 1);
        ASSERT_TRUE(answer ? s > 0.9 : s < 0.1) << s;
      }
      // A row unlike any other still has a score inside (0, 1).
      RowFeatures odd;
      odd.nearest = -2, odd.mean_distance_10 = 2, odd.top1 = 1, odd.vote_p = 1;
      const double s = accept_score(acceptor, odd, 0);
      EXPECT_TRUE(s > 0 && s < 1) << s;
    }
  const Acceptor none = fit_acceptor({}, {}, kFrequency);
  EXPECT_NEAR(accept_score(none, varied[0], 0.5), 0.5, 1e-9);
}

}  // namespace
}  // namespace tracer
