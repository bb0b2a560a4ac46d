#include "engine/log/dependence.h"

#include <gtest/gtest.h>

#include <iostream>
#include <numeric>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;
using testing::Draws;

struct Log {
  Matrix<float> x;
  std::vector<int32_t> label;
};

Log shuffled(const Log& log, uint64_t seed) {
  const auto order = Random(seed, Stream::kPermute).permutation(log.x.rows());
  Log out{Matrix<float>(log.x.rows(), log.x.cols()), {}};
  for (int64_t i = 0; i < log.x.rows(); ++i) {
    std::copy_n(log.x.row(order[i]), log.x.cols(), out.x.row(i));
    out.label.push_back(log.label[order[i]]);
  }
  return out;
}

Dependence check(const Log& log, int64_t classes, SplitKind used = SplitKind::kRuns) {
  const auto backend = cpu(2);
  std::vector<int32_t> place(log.label.size());
  std::iota(place.begin(), place.end(), 0);
  auto found = check_dependence(*backend, log.x.view(), log.label, place, classes, sorted_by_label(log.label), used, 0);
  EXPECT_TRUE(found.ok());
  const Dependence d = *found;
  std::cout << "neighbours " << d.neighbour_share << ", chance " << d.chance_share << ", adjacent " << d.adjacent_share
            << ", rows " << d.agreement_rows << ", groups " << d.agreement_groups << ": " << d.advice << "\n";
  return d;
}

// Premises, each in three consecutive rows with three different labels.
Log premises(int64_t count, uint64_t seed) {
  auto base = clusters(count, 1, 24, 30.0, 0, seed);  // all over the sphere
  Draws draws(seed + 1);
  Log log{Matrix<float>(3 * count, 24), {}};
  for (int64_t i = 0; i < 3 * count; ++i) {
    for (int64_t j = 0; j < 24; ++j) log.x(i, j) = base.x(i / 3, j) + static_cast<float>(0.03 * draws.normal());
    log.label.push_back(static_cast<int32_t>(i % 3));
  }
  const auto backend = cpu();
  EXPECT_TRUE(backend->normalise_rows(log.x.view()).ok());
  return log;
}

TEST(Dependence, UnrelatedRowsDrawNoAdvice) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    auto c = clusters(2000, 12, 16, 0.7, 0.1, seed);
    const Dependence d = check({std::move(c.x), std::move(c.label)}, 12);
    EXPECT_FALSE(d.repelled || d.flattered);
    EXPECT_TRUE(d.advice.empty()) << d.advice;
  }
  // Labels that have nothing to do with the rows.
  auto c = clusters(2000, 3, 16, 3.0, 1.0, 9);
  const Dependence d = check({std::move(c.x), std::move(c.label)}, 3);
  EXPECT_TRUE(d.advice.empty()) << d.advice;
}

// Keeping close rows together costs a label with few rows most of them; so does keeping any of its rows together.
TEST(Dependence, FewRowsOfALabelAreNoRelatives) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    auto c = clusters(500, 120, 16, 0.8, 0.1, seed);
    const Dependence d = check({std::move(c.x), std::move(c.label)}, 120);
    const double p = d.agreement_rows;
    EXPECT_LT(d.agreement_groups, p - 0.35 * std::min(p, 1 - p)) << "what it costs is not seen by rows alone";
    EXPECT_NEAR(d.agreement_exchanged, d.agreement_groups, 0.12);
    EXPECT_TRUE(d.advice.empty()) << d.advice;
  }
}

TEST(Dependence, AdjacentTriplesNameRuns) {
  const Log log = premises(500, 4);
  const Dependence d = check(log, 3);
  EXPECT_TRUE(d.repelled);
  EXPECT_GT(d.adjacent_share, 0.9);
  EXPECT_NE(d.advice.find(option("split") + " runs"), std::string::npos) << d.advice;
  EXPECT_NE(d.advice.find("in force"), std::string::npos) << d.advice;
  EXPECT_NE(check(log, 3, SplitKind::kRows).advice.find("not in force"), std::string::npos);
}

TEST(Dependence, ShuffledTriplesNameGroups) {
  const Log log = shuffled(premises(500, 4), 1);
  const Dependence d = check(log, 3);
  EXPECT_TRUE(d.repelled);
  EXPECT_LT(d.adjacent_share, 0.1);
  EXPECT_NE(d.advice.find(option("group_by")), std::string::npos) << d.advice;
  EXPECT_NE(check(log, 3, SplitKind::kGroups).advice.find("kept whole"), std::string::npos);
}

// Families of near-copies that share a label which their surroundings do not foretell: a split by rows flatters.
class ScatteredFamilies : public ::testing::TestWithParam<int64_t> {};

TEST_P(ScatteredFamilies, Flatter) {
  auto base = clusters(400, 1, 24, 30.0, 0, 5);
  Draws draws(6);
  Log log{Matrix<float>(2000, 24), {}};
  std::vector<int32_t> family;
  for (int i = 0; i < 400; ++i) family.push_back(static_cast<int32_t>(draws.below(GetParam())));
  for (int64_t i = 0; i < 2000; ++i) {
    for (int64_t j = 0; j < 24; ++j) log.x(i, j) = base.x(i / 5, j) + static_cast<float>(0.05 * draws.normal());
    log.label.push_back(family[i / 5]);
  }
  const auto backend = cpu();
  ASSERT_TRUE(backend->normalise_rows(log.x.view()).ok());
  const Dependence d = check(shuffled(log, 2), GetParam());
  EXPECT_FALSE(d.repelled);
  EXPECT_TRUE(d.flattered);
  EXPECT_NE(d.advice.find(option("group_by")), std::string::npos) << d.advice;
}

INSTANTIATE_TEST_SUITE_P(Labels, ScatteredFamilies, ::testing::Values(4, 20, 100));

TEST(Dependence, FewRowsSayNothing) {
  for (int64_t n : {1, 2, 50, 99, 100, 130}) {
    auto c = clusters(n, 2, 4, 0.5, 0, 1);
    EXPECT_TRUE(check({std::move(c.x), std::move(c.label)}, 2).advice.empty()) << n;
  }
}

TEST(Dependence, CopiesAndOneLabel) {
  Log same{Matrix<float>(300, 4), std::vector<int32_t>(300, 0)};
  for (int64_t i = 0; i < 300; ++i) same.x(i, 0) = 1;
  const Dependence d = check(same, 1);
  EXPECT_TRUE(d.advice.empty()) << d.advice;
  EXPECT_NEAR(d.chance_share, 1, 1e-9);
}

struct Verdict {
  const char* name;
  bool shuffle;
  bool repelled, flattered;
};

class RealDependence : public ::testing::TestWithParam<Verdict> {};

TEST_P(RealDependence, Verdict) {
  const Verdict want = GetParam();
  testing::RealData data;
  if (!testing::read_real(testing::data_folder(), want.name, data))
    GTEST_SKIP() << "TRACER_TEST_DATA has no " << want.name;
  if (testing::kSlower > 1) GTEST_SKIP() << "too long for a sanitized build";
  Log log{std::move(data.x), data.traces.label};
  if (want.shuffle) log = shuffled(log, 3);
  const Dependence d = check(log, static_cast<int64_t>(data.traces.labels.size()));
  EXPECT_EQ(d.repelled, want.repelled);
  EXPECT_EQ(d.flattered, want.flattered);
  EXPECT_EQ(d.advice.empty(), !want.repelled && !want.flattered);
  if (want.repelled) {
    EXPECT_NE(d.advice.find(want.shuffle ? option("group_by") : option("split") + " runs"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(
    SharedData, RealDependence,
    ::testing::Values(Verdict{"banking77_train", false, false, false}, Verdict{"banking77_train", true, false, false},
                      Verdict{"clinc150_train", false, false, false}, Verdict{"clinc150_train", true, false, false},
                      Verdict{"clinc_domains_llm_train", false, false, false},
                      Verdict{"clinc_domains_llm_train", true, false, false}, Verdict{"snli_train", false, true, false},
                      Verdict{"snli_train", true, true, false}),
    [](const auto& info) { return std::string(info.param.name) + (info.param.shuffle ? "_shuffled" : ""); });

}  // namespace
}  // namespace tracer
