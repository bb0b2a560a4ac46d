#include "engine/policy/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

// As far from its references as they are from theirs, and certain: its outlier score is the distance.
RowFeatures at(int32_t label, float distance) {
  RowFeatures f;
  f.label = label;
  f.mean_distance_10 = f.neighbourhood = distance;
  f.top1 = 1;
  return f;
}

RowFeatures with(float distance, float neighbourhood, float top1) {
  RowFeatures f = at(0, distance);
  f.neighbourhood = neighbourhood;
  f.top1 = top1;
  return f;
}

// The limit is a value of the sample with at most 0.2 % of the sample beyond it, and the smallest such value.
TEST(Gate, LimitsAreQuantiles) {
  Draws draws(1);
  for (int64_t n : {1, 2, 199, 200, 201, 499, 500, 501, 1000, 4001}) {
    std::vector<RowFeatures> rows;
    for (int64_t i = 0; i < n; ++i) rows.push_back(at(0, static_cast<float>(draws.uniform())));
    const OodGate gate = fit_gate(rows, 2);
    int64_t beyond = 0, beyond_or_at = 0;
    for (const auto& f : rows)
      beyond += f.mean_distance_10 > gate.global_limit, beyond_or_at += f.mean_distance_10 >= gate.global_limit;
    EXPECT_LE(static_cast<double>(beyond), 0.002 * static_cast<double>(n)) << n;
    EXPECT_GT(static_cast<double>(beyond_or_at), 0.002 * static_cast<double>(n)) << n;
    ASSERT_EQ(gate.label_limit.size(), 2u);
    EXPECT_EQ(gate.label_limit[0], gate.global_limit);
    EXPECT_EQ(gate.label_limit[1], gate.global_limit) << "an unseen label uses the global limit";
  }
}

TEST(Gate, TheShareIsTheCallers) {
  std::vector<RowFeatures> rows;
  for (int i = 1; i <= 1000; ++i) rows.push_back(at(0, 0.001f * static_cast<float>(i)));
  const auto left_out = [&](double share) {
    const OodGate gate = fit_gate(rows, 1, share);
    return std::count_if(rows.begin(), rows.end(), [&](const auto& f) { return out_of_distribution(gate, f); });
  };
  EXPECT_EQ(left_out(0), 0);
  EXPECT_EQ(left_out(0.0005), 0);
  EXPECT_EQ(left_out(0.01), 10);
  EXPECT_EQ(left_out(0.5), 500);
  EXPECT_TRUE(out_of_distribution(fit_gate(rows, 1, 0), at(0, 1.01f))) << "beyond all of them";
  EXPECT_FALSE(out_of_distribution(fit_gate({}, 1, 0), at(0, 1.5f)));
}

TEST(Gate, BothLimitsMustBePassed) {
  std::vector<RowFeatures> rows;
  for (int i = 0; i < 400; ++i) rows.push_back(at(0, 0.1f + 1e-5f * static_cast<float>(i)));
  for (int i = 0; i < 199; ++i) rows.push_back(at(1, 0.5f));  // too few for a limit of its own
  for (int i = 0; i < 200; ++i) rows.push_back(at(2, 0.9f));
  const OodGate gate = fit_gate(rows, 3);
  EXPECT_FLOAT_EQ(static_cast<float>(gate.global_limit), 0.9f);
  EXPECT_EQ(gate.label_limit[1], gate.global_limit);
  EXPECT_EQ(outlier_limit(gate, 0), gate.global_limit);
  EXPECT_TRUE(gate.label_limit[0] < 0.11);
  EXPECT_FALSE(out_of_distribution(gate, at(0, 0.5f))) << "beyond its label's limit alone";
  EXPECT_TRUE(out_of_distribution(gate, at(0, 0.95f)));
  EXPECT_FALSE(out_of_distribution(gate, at(2, 0.9f))) << "at the limit";
}

TEST(Gate, ThreeSignsMakeTheScore) {
  OodGate gate;
  gate.density = 2, gate.confidence = 0.5;
  EXPECT_NEAR(outlier_score(gate, with(0.3f, 0.2f, 1)), 0.3 + 2 * 0.1, 1e-6);
  EXPECT_NEAR(outlier_score(gate, with(0.3f, 0.4f, 1)), 0.3 - 2 * 0.1, 1e-6) << "closer than its references are";
  EXPECT_NEAR(outlier_score(gate, with(0.3f, 0.3f, 0.25f)), 0.3 + 0.5 * std::log(4.0), 1e-6);
  EXPECT_TRUE(std::isfinite(outlier_score(gate, with(0.3f, 0.3f, 0))));
  EXPECT_NEAR(outlier_score(OodGate{}, with(0.3f, 0.1f, 0.01f)), 0.3, 1e-6) << "a policy before version 7";
}

TEST(Gate, ARowAtTheEdgeOfADenseRegionIsUnlikeIt) {
  std::vector<RowFeatures> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(i % 2 == 0 ? with(0.3f, 0.3f, 0.99f) : with(0.05f, 0.05f, 0.99f));
  const OodGate gate = fit_gate(rows, 1);
  ASSERT_EQ(gate.reference_distance.size(), 1000u);
  EXPECT_FLOAT_EQ(gate.reference_distance[1], 0.05f);
  EXPECT_FALSE(out_of_distribution(gate, with(0.3f, 0.3f, 0.99f)));
  EXPECT_TRUE(out_of_distribution(gate, with(0.3f, 0.05f, 0.99f)));
  EXPECT_TRUE(out_of_distribution(gate, with(0.3f, 0.3f, 0.2f))) << "unsure";
  EXPECT_FALSE(out_of_distribution(gate, with(0.05f, 0.05f, 0.2f))) << "unsure, among its like";
}

TEST(Gate, NeighbourhoodOfFewReferences) {
  const std::vector<float> distance = {0.1f, 0.2f, 0.6f, 0, 0, 0, 0, 0, 0, 0, 0, 0.5f};
  const int32_t none[] = {-1, -1}, two[] = {2, 0, -1}, many[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 11};
  EXPECT_EQ(neighbourhood_distance(distance, none, 2), 2.0f);
  EXPECT_FLOAT_EQ(neighbourhood_distance(distance, two, 3), 0.35f);
  EXPECT_FLOAT_EQ(neighbourhood_distance(distance, two, 1), 0.6f);
  EXPECT_FLOAT_EQ(neighbourhood_distance(distance, many, 11), 0.08f) << "ten of them";
}

TEST(Gate, RowsNextToALimitAreNearIt) {
  std::vector<RowFeatures> rows;
  for (int i = 0; i < 400; ++i) rows.push_back(at(0, 0.2f));
  const OodGate gate = fit_gate(rows, 1);
  EXPECT_TRUE(near_gate_limit(gate, at(0, 0.2f), 1e-6, 1e-5));
  EXPECT_TRUE(near_gate_limit(gate, at(0, 0.2f + 1e-6f), 1e-6, 1e-5));
  EXPECT_FALSE(near_gate_limit(gate, at(0, 0.2f + 1e-4f), 1e-6, 1e-5));
  // A probability of 0.01 that may be 1e-5 off moves 0.1 ln(top1) by 1e-4.
  const RowFeatures unsure = with(0.2f, 0.2f + 0.1f * std::log(100.0f) - 5e-5f, 0.01f);
  EXPECT_TRUE(near_gate_limit(gate, unsure, 1e-6, 1e-5));
  EXPECT_FALSE(near_gate_limit(gate, unsure, 1e-6, 1e-7));
  EXPECT_TRUE(near_gate_limit(gate, with(static_cast<float>(kSameRow), 2, 1), 1e-6, 1e-5)) << "or a copy";
}

TEST(Gate, CopiesOfARowAreNeverUnlikeIt) {
  const std::vector<RowFeatures> copies(500, at(0, 1e-7f));
  EXPECT_FALSE(out_of_distribution(fit_gate(copies, 1), at(0, 3e-7f))) << "a distance made of rounding";
  EXPECT_FALSE(out_of_distribution(fit_gate(copies, 1), with(3e-7f, 1e-7f, 0.5f))) << "however unsure";
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
