// Gradient-boosted trees: XGBoost learns them, and what is read of them says what XGBoost says.
#include "engine/learn/gradient_boosting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "engine/fit.h"
#include "engine/learn/tree_search.h"
#include "engine/policy/added_member.h"
#include "engine/policy/router.h"
#include "engine/policy/trees.h"
#include "tests/engine/band_log.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::band_log;
using testing::BandLog;
using testing::Clusters;
using testing::clusters;
using testing::cpu;
using testing::traces_of;

#define SKIP_WITHOUT_XGBOOST() \
  if (const Status open = open_xgboost(); !open.ok()) GTEST_SKIP() << open.message()

// A stump for each of two labels on feature 1, and a leaf alone for each.
Trees small_trees() {
  return {{0, 3, 6, 7},
          {1, -1, -1, 1, -1, -1, -1, -1},
          {0.5f, 1.0f, -1.0f, 0.5f, -2.0f, 2.0f, 0.25f, -0.25f},
          {1, 0, 0, 4, 0, 0, 0, 0},
          {2, 0, 0, 5, 0, 0, 0, 0}};
}

TEST(Trees, ARowAtAThresholdGoesRight) {
  const Trees trees = small_trees();
  ASSERT_STREQ(trees_problem(trees, 2, 2), "");
  const float below[] = {9, 0.49f}, at[] = {9, 0.5f}, nothing[] = {9, -0.0f};
  EXPECT_EQ(tree_logits(trees, below, 2, 2), (std::vector<double>{1.25, -2.25}));
  EXPECT_EQ(tree_logits(trees, at, 2, 2), (std::vector<double>{-0.75, 1.75}));
  EXPECT_EQ(tree_logits(trees, nothing, 2, 2), (std::vector<double>{1.25, -2.25}));
  AddedMember member;
  member.kind = MemberKind::kGbt, member.trees = trees, member.b = {0, kRemovedBias};
  const auto backend = cpu();
  Matrix<float> x(1, 2), p(1, 2);
  x(0, 0) = 9, x(0, 1) = 0.5f;
  tree_probabilities(*backend, member, x.view(), p.view());
  EXPECT_EQ(p(0, 0), 1.0f);  // the other label is removed
  EXPECT_EQ(p(0, 1), 0.0f);
  member.b = {0, 0};
  tree_probabilities(*backend, member, x.view(), p.view());
  EXPECT_NEAR(p(0, 1), 1 / (1 + std::exp(-2.5)), 1e-7);
}

TEST(Trees, WhatIsNoTreeIsSeen) {
  using Change = void (*)(Trees&);
  const std::pair<const char*, Change> cases[] = {
      {"a child before its node", [](Trees& t) { t.left[3] = 1; }},
      {"a node its own child", [](Trees& t) { t.right[0] = 0; }},
      {"a child in another tree", [](Trees& t) { t.right[0] = 4; }},
      {"a child beyond all", [](Trees& t) { t.right[3] = 8; }},
      {"a negative child", [](Trees& t) { t.left[0] = -1; }},
      {"a feature beyond all", [](Trees& t) { t.feature[0] = 2; }},
      {"not a number", [](Trees& t) { t.value[1] = std::numeric_limits<float>::quiet_NaN(); }},
      {"infinity", [](Trees& t) { t.value[0] = std::numeric_limits<float>::infinity(); }},
      {"trees out of order", [](Trees& t) { std::swap(t.root[1], t.root[2]); }},
      {"a tree beyond all", [](Trees& t) { t.root[3] = 8; }},
      {"a tree before all", [](Trees& t) { t.root[0] = -1; }},
      {"a gap before the first", [](Trees& t) { t.root[0] = 1; }},
      {"one tree too few", [](Trees& t) { t.root.pop_back(); }},
      {"a value too few", [](Trees& t) { t.value.pop_back(); }},
      {"a child too many", [](Trees& t) { t.left.push_back(0); }},
      {"no tree but nodes", [](Trees& t) { t.root.clear(); }},
  };
  for (const auto& [name, change] : cases) {
    Trees trees = small_trees();
    change(trees);
    EXPECT_STRNE(trees_problem(trees, 2, 2), "") << name;
  }
  EXPECT_STREQ(trees_problem({}, 2, 2), "");
}

TEST(GradientBoosting, WhatIsReadOfTheTreesSaysWhatXgboostSays) {
  SKIP_WITHOUT_XGBOOST();
  const Clusters log = clusters(900, 5, 12, 1.5, 0.1, 3);
  const std::vector<int32_t> label(log.label.begin(), log.label.begin() + 600);
  auto trainer = TreeTrainer::create(log.x.view().rows_from(0, 600), label, log.x.view().rows_from(600, 300), 5, 7);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();
  for (int round = 0; round < 12; ++round) ASSERT_TRUE((*trainer)->round().ok());
  const auto said = (*trainer)->held_out_probability();
  ASSERT_TRUE(said.ok()) << said.status().message();
  auto trees = (*trainer)->trees();
  ASSERT_TRUE(trees.ok()) << trees.status().message();
  EXPECT_EQ(trees->root.size(), 60u);
  EXPECT_GT(trees->feature.size(), 300u);
  AddedMember member;
  member.kind = MemberKind::kGbt, member.trees = std::move(trees).value(), member.b.assign(5, 0.0f);
  const auto backend = cpu(2);
  Matrix<float> p(300, 5);
  auto head = prepare_member(*backend, member);
  ASSERT_TRUE(head.ok());
  ASSERT_TRUE(member_probabilities(*backend, member, head->get(), log.x.view().rows_from(600, 300), p.view()).ok());
  int64_t right = 0;
  for (int64_t i = 0; i < 300; ++i) {
    const auto canonical = canonical_member(member, log.x.row(600 + i), 12);
    int64_t best = 0;
    for (int64_t c = 0; c < 5; ++c) {
      EXPECT_NEAR(p(i, c), (*said)[static_cast<size_t>(i * 5 + c)], 2e-6) << i;
      EXPECT_NEAR(p(i, c), canonical[static_cast<size_t>(c)], 1e-7) << i;
      if (p(i, c) > p(i, best)) best = c;
    }
    right += best == log.label[static_cast<size_t>(600 + i)];
  }
  EXPECT_GT(right, 150);
}

TEST(GradientBoosting, NothingNeedsToBeHeldOut) {
  SKIP_WITHOUT_XGBOOST();
  const BandLog log = band_log(200, 4);
  auto trainer = TreeTrainer::create(log.x.view(), log.label, log.x.view().rows_from(0, 0), 2, 1);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();
  ASSERT_TRUE((*trainer)->round().ok());
  const auto said = (*trainer)->held_out_probability();
  ASSERT_TRUE(said.ok()) << said.status().message();
  EXPECT_TRUE(said->empty());
  const auto trees = (*trainer)->trees();
  ASSERT_TRUE(trees.ok());
  EXPECT_EQ(trees->root.size(), 2u);
}

TEST(GradientBoosting, SameBytesForAnyThreads) {
  SKIP_WITHOUT_XGBOOST();
  const BandLog log = band_log(600, 1);
  std::vector<int32_t> fold;
  for (size_t i = 0; i < log.label.size(); ++i) fold.push_back(static_cast<int32_t>(i % 5));
  MemberSearchInput in;
  in.data = {log.x.view(), log.label, 2};
  in.fold = fold, in.folds = 5, in.seed = 3, in.loss = 0.7;
  std::vector<std::string> cut;
  const auto one = search_trees(1, in, cut), three = search_trees(3, in, cut), nine = search_trees(9, in, cut);
  ASSERT_TRUE(one.ok() && three.ok() && nine.ok()) << one.status().message();
  EXPECT_TRUE(cut.empty());
  EXPECT_LT(one->plan.log_loss, 0.62);  // log 2 = 0.69
  EXPECT_GT(one->plan.epochs, 3);
  for (const auto* other : {&three, &nine}) {
    EXPECT_EQ((*other)->plan.epochs, one->plan.epochs);
    EXPECT_EQ((*other)->plan.log_loss, one->plan.log_loss);
    ASSERT_EQ((*other)->probability.size(), one->probability.size());
    EXPECT_EQ(std::memcmp((*other)->probability.data(), one->probability.data(),
                          sizeof(float) * static_cast<size_t>(one->probability.size())),
              0);
  }
  in.spent = [] { return true; };
  const auto stopped = search_trees(2, in, cut);
  ASSERT_TRUE(stopped.ok());
  EXPECT_EQ(cut, (std::vector<std::string>{"gradient-boosted trees beyond 1 rounds"}));
  in.spent = {}, in.loss = 1e-3;  // nothing comes near that
  const auto hopeless = search_trees(2, in, cut);
  ASSERT_TRUE(hopeless.ok());
  EXPECT_TRUE(hopeless->probability.empty());
}

// One coordinate says the label by lying in the middle, which no linear map sees, and neighbours hardly: 31 others hide
// it.
TEST(GradientBoosting, AFitTakesTreesWhereTheyHelp) {
  SKIP_WITHOUT_XGBOOST();
  const BandLog log = band_log(2000, 2), fresh = band_log(1000, 3);
  FitOptions o;
  o.alpha = 0.85, o.sweep = {0.9}, o.delta = 0.1;
  const auto backend = cpu(2);
  const auto plain = fit(*backend, traces_of(log.label, 2), log.x.clone(), o);
  o.choices.members.gbt = true;
  const auto made = fit(*backend, traces_of(log.label, 2), log.x.clone(), o);
  ASSERT_TRUE(made.ok() && plain.ok()) << made.status().message();
  const Stage& stage = made->policy.stages[0];
  ASSERT_EQ(stage.added.size(), 1u);
  EXPECT_EQ(stage.added[0].kind, MemberKind::kGbt);
  EXPECT_GT(stage.added[0].weight, 0.5f);
  const Certificate& c = *made->policy.certificate(0.85);
  ASSERT_TRUE(c.certified);
  const Certificate& without = *plain->policy.certificate(0.85);
  EXPECT_GT(c.n_handled, without.certified ? without.n_handled + 50 : 100);
  auto prepared = prepare_stage(*backend, stage, {c.threshold});
  ASSERT_TRUE(prepared.ok());
  std::vector<RowScore> scores, canonical;
  ASSERT_TRUE(score_rows(*backend, *prepared, fresh.x.view(), scores).ok());
  ASSERT_TRUE(score_rows_canonically(*backend, *prepared, fresh.x.view(), canonical).ok());
  int64_t handled = 0, agree = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i].score, canonical[i].score, 1e-3);
    if (scores[i].gated || !(scores[i].score > c.threshold)) continue;
    ++handled;
    agree += scores[i].features.label == fresh.label[i];
  }
  EXPECT_NEAR(static_cast<double>(handled) / 1000, static_cast<double>(c.n_handled) / static_cast<double>(c.n_certify),
              0.08);
  EXPECT_GE(static_cast<double>(agree), 0.82 * static_cast<double>(handled));
}

}  // namespace
}  // namespace tracer
