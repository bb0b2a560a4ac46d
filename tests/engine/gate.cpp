#include "engine/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

RowFeatures at(int32_t label, float distance) {
  RowFeatures f;
  f.label = label;
  f.mean_distance_10 = distance;
  return f;
}

// The limit is a value of the sample with at most 0.5 % of the sample beyond it, and the smallest such value.
TEST(Gate, LimitsAreQuantiles) {
  Draws draws(1);
  for (int64_t n : {1, 2, 199, 200, 201, 1000, 4001}) {
    std::vector<RowFeatures> rows;
    for (int64_t i = 0; i < n; ++i) rows.push_back(at(0, static_cast<float>(draws.uniform())));
    const OodGate gate = fit_gate(rows, 2);
    int64_t beyond = 0, beyond_or_at = 0;
    for (const auto& f : rows)
      beyond += f.mean_distance_10 > gate.global_limit, beyond_or_at += f.mean_distance_10 >= gate.global_limit;
    EXPECT_LE(static_cast<double>(beyond), 0.005 * static_cast<double>(n)) << n;
    EXPECT_GT(static_cast<double>(beyond_or_at), 0.005 * static_cast<double>(n)) << n;
    ASSERT_EQ(gate.label_limit.size(), 2u);
    EXPECT_EQ(gate.label_limit[0], gate.global_limit);
    EXPECT_EQ(gate.label_limit[1], gate.global_limit) << "an unseen label uses the global limit";
  }
}

TEST(Gate, BothLimitsMustBePassed) {
  std::vector<RowFeatures> rows;
  for (int i = 0; i < 400; ++i) rows.push_back(at(0, 0.1f + 1e-5f * static_cast<float>(i)));
  for (int i = 0; i < 199; ++i) rows.push_back(at(1, 0.5f));  // too few for a limit of its own
  for (int i = 0; i < 200; ++i) rows.push_back(at(2, 0.9f));
  const OodGate gate = fit_gate(rows, 3);
  EXPECT_FLOAT_EQ(static_cast<float>(gate.global_limit), 0.9f);
  EXPECT_EQ(gate.label_limit[1], gate.global_limit);
  EXPECT_TRUE(gate.label_limit[0] < 0.11);
  EXPECT_FALSE(out_of_distribution(gate, at(0, 0.5f))) << "beyond its label's limit alone";
  EXPECT_TRUE(out_of_distribution(gate, at(0, 0.95f)));
  EXPECT_FALSE(out_of_distribution(gate, at(2, 0.9f))) << "at the limit";
}

TEST(Gate, CopiesOfARowAreNeverUnlikeIt) {
  const std::vector<RowFeatures> copies(500, at(0, 1e-7f));
  EXPECT_FALSE(out_of_distribution(fit_gate(copies, 1), at(0, 3e-7f))) << "a distance made of rounding";
}

TEST(Gate, DegenerateSamples) {
  EXPECT_EQ(fit_gate({}, 3).label_limit.size(), 3u);
  EXPECT_FALSE(out_of_distribution(fit_gate({}, 3), at(2, 2.0f)));
  const std::vector<RowFeatures> same(500, at(1, 0.25f));
  const OodGate gate = fit_gate(same, 2);
  EXPECT_FALSE(out_of_distribution(gate, same[0]));
  EXPECT_TRUE(out_of_distribution(gate, at(0, 0.26f)));
}

}  // namespace
}  // namespace tracer
