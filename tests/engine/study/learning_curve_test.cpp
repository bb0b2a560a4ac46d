#include "engine/study/learning_curve.h"

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

struct Law {
  double plateau, drop, rate;
  double at(double n) const { return plateau - drop * std::pow(n, -rate); }
  double needed(double coverage) const { return std::pow(drop / (plateau - coverage), 1 / rate); }
};

const std::vector<double> kSizes = {500, 1000, 2000, 4000, 8000};

// The standard deviation is `noise` at 8,000 traces and falls with the size to the power `fall`.
std::vector<CurvePoint> points_of(const Law& law, int seeds, double noise, Draws& draws, double fall = 0.5) {
  std::vector<CurvePoint> points;
  for (double n : kSizes)
    for (int s = 0; s < seeds; ++s)
      points.push_back({n, std::clamp(law.at(n) + noise * std::pow(8000 / n, fall) * draws.normal(), 0.0, 1.0)});
  return points;
}

TEST(StudentT, MatchesTables) {
  EXPECT_NEAR(student_t_quantile(0.90, 1), 6.3138, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.90, 2), 2.9200, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.95, 5), 2.5706, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.90, 22), 1.7171, 1e-4);
  EXPECT_NEAR(student_t_quantile(0.95, 1001), 1.9623, 1e-4);
}

TEST(LearningCurve, FindsALawWithoutNoise) {
  Draws draws(1);
  const Law law{0.95, 8, 0.5};
  const auto curve = LearningCurve::fit(points_of(law, 3, 0, draws));
  ASSERT_TRUE(curve.ok());
  EXPECT_NEAR(curve->plateau(), 0.95, 2e-3);
  EXPECT_NEAR(curve->rate(), 0.5, 0.05);
  EXPECT_NEAR(curve->at(16000), law.at(16000), 1e-3);
  EXPECT_NEAR(*curve->needed(0.90).traces / law.needed(0.90), 1, 0.03);
  EXPECT_FALSE(curve->needed(0.97).traces);
}

TEST(LearningCurve, GainsOfALawAndTheirIntervals) {
  Draws draws(3);
  const Law law{0.95, 8, 0.5};
  const auto exact = LearningCurve::fit(points_of(law, 3, 0, draws));
  ASSERT_TRUE(exact.ok());
  EXPECT_NEAR(exact->gain(16000), law.at(16000) - law.at(8000), 1e-3);
  EXPECT_EQ(exact->gain(8000), 0);
  ASSERT_TRUE(exact->gain_interval(16000));
  EXPECT_NEAR(exact->gain_interval(16000)->low, law.at(16000) - law.at(8000), 2e-3);
  int inside = 0, bounded = 0;
  const int repeats = static_cast<int>(400 / testing::kSlower);
  for (int r = 0; r < repeats; ++r) {
    const auto curve = LearningCurve::fit(points_of(law, 4, 0.01, draws));
    ASSERT_TRUE(curve.ok());
    const auto interval = curve->gain_interval(16000);
    ASSERT_TRUE(interval);
    EXPECT_LE(interval->low, curve->gain(16000));
    EXPECT_GE(interval->high, curve->gain(16000));
    EXPECT_GE(interval->low, 0);
    const double truth = law.at(16000) - law.at(8000);
    inside += interval->low <= truth && truth <= interval->high;
    bounded += interval->high - interval->low < 0.1;
  }
  EXPECT_GT(inside, 0.85 * repeats);
  EXPECT_GT(bounded, 0.9 * repeats);
  const auto flat = LearningCurve::fit({{1, 1}, {2, 1}, {4, 1}, {8, 1}});
  ASSERT_TRUE(flat.ok());
  EXPECT_EQ(flat->gain(16), 0);
  EXPECT_LT(flat->gain_interval(16)->high, 1e-4);
}

// The intervals hold the truth about as often as they say.
TEST(LearningCurve, IntervalsCoverTheTruth) {
  const int repeats = static_cast<int>(400 / testing::kSlower);
  const struct {
    Law law;
    double noise, fall;
  } cases[] = {{{0.95, 8, 0.5}, 0.01, 0.5}, {{0.80, 60, 0.8}, 0.01, 0.5}, {{0.98, 60, 0.8}, 0.002, 1.3}};
  for (const auto& [law, noise, fall] : cases) {
    Draws draws(7);
    int plateau = 0, needed = 0, bounded = 0;
    const double target = law.at(12000);
    for (int r = 0; r < repeats; ++r) {
      const auto curve = LearningCurve::fit(points_of(law, 5, noise, draws, fall));
      ASSERT_TRUE(curve.ok());
      const Interval i = *curve->plateau_interval();
      plateau += i.low <= law.plateau && law.plateau <= i.high;
      EXPECT_LE(i.low, curve->plateau());
      EXPECT_GE(i.high, curve->plateau());
      const TracesNeeded n = curve->needed(target);
      needed += n.low && *n.low <= 12000 && (!n.high || 12000 <= *n.high);
      bounded += n.high.has_value();
    }
    // 90 % nominal; 400 draws have a standard error of 1.5 %.
    const double slack = 0.05 * std::sqrt(static_cast<double>(testing::kSlower));
    EXPECT_NEAR(plateau / static_cast<double>(repeats), 0.90, slack) << law.plateau;
    EXPECT_NEAR(needed / static_cast<double>(repeats), 0.90, slack) << law.plateau;
    EXPECT_GT(bounded, repeats / 4) << "an interval that never ends says nothing";
  }
}

TEST(LearningCurve, FlatAndFallingCurvesHaveReachedTheirPlateau) {
  std::vector<CurvePoint> flat, falling;
  for (double n : kSizes)
    for (int s = 0; s < 3; ++s) {
      flat.push_back({n, 0.9});
      falling.push_back({n, 0.9 - n * 1e-5 + s * 1e-3});
    }
  const auto level = LearningCurve::fit(flat);
  ASSERT_TRUE(level.ok());
  EXPECT_NEAR(level->plateau(), 0.9, 1e-9);
  EXPECT_NEAR(level->plateau_interval()->low, 0.9, 1e-3);
  EXPECT_NEAR(level->plateau_interval()->high, 0.9, 1e-2);
  EXPECT_LT(*level->needed(0.85).traces, 500);
  const TracesNeeded above = level->needed(0.95);
  EXPECT_FALSE(above.traces || above.low || above.high);

  const auto down = LearningCurve::fit(falling);
  ASSERT_TRUE(down.ok());
  EXPECT_EQ(down->drop(), 0);
  EXPECT_GT(down->plateau(), 0.82);
  EXPECT_LT(down->plateau(), 0.9);
  EXPECT_FALSE(down->needed(0.95).traces);
  EXPECT_EQ(down->at(500), down->at(50000));
}

TEST(LearningCurve, NeverPromisesMoreThanEverything) {
  // Still rising by as much with every doubling: no plateau below 1 shows.
  std::vector<CurvePoint> points;
  for (double n : kSizes)
    for (int s = 0; s < 3; ++s) points.push_back({n, 0.2 + 0.15 * std::log2(n / 500) + 0.002 * s});
  const auto curve = LearningCurve::fit(points);
  ASSERT_TRUE(curve.ok());
  EXPECT_EQ(curve->plateau(), 1);
  EXPECT_LE(curve->at(1e9), 1);
  EXPECT_GT(*curve->needed(0.9).traces, 8000);
}

TEST(LearningCurve, TooFewSizesAreRefusedWithTheReason) {
  EXPECT_EQ(LearningCurve::fit({}).status().code(), ErrorCode::kRefused);
  const auto two = LearningCurve::fit({{500, 0.5}, {1000, 0.6}, {1000, 0.61}});
  EXPECT_EQ(two.status().message(), "a learning curve needs points of 3 sizes, and has 2");
  EXPECT_EQ(LearningCurve::fit({{0, 0.5}, {1, 0.5}, {2, 0.5}}).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(LearningCurve::fit({{1, NAN}, {2, 0.5}, {3, 0.5}}).status().code(), ErrorCode::kBadInput);
  // Three points: a curve, and nothing to judge it by.
  const auto bare = LearningCurve::fit({{500, 0.5}, {1000, 0.6}, {2000, 0.67}});
  ASSERT_TRUE(bare.ok());
  EXPECT_FALSE(bare->plateau_interval());
  const TracesNeeded needed = bare->needed(0.7);
  EXPECT_TRUE(needed.traces);
  EXPECT_FALSE(needed.low || needed.high);
}

}  // namespace
}  // namespace tracer
