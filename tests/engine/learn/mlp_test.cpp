#include "engine/learn/mlp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/fit.h"
#include "engine/learn/member_search.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/added_member.h"
#include "engine/policy/canonical.h"
#include "engine/policy/router.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::traces_of;

std::vector<int32_t> first_rows(int32_t n) {
  std::vector<int32_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Rings: no linear model tells them apart.
Clusters rings(int64_t n) {
  testing::Draws draws(7);
  Clusters out{Matrix<float>(n, 4), {}};
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < 4; ++j) out.x(i, j) = static_cast<float>(2 * draws.uniform() - 1);
    const double r = std::hypot(static_cast<double>(out.x(i, 0)), static_cast<double>(out.x(i, 1)));
    out.label.push_back(r < 0.5 ? 0 : r < 0.9 ? 1 : 2);
  }
  return out;
}

// The loss of a network given by its parts (weights, biases, weights, ...), naive and in float64.
double loss_of(const std::vector<std::vector<double>>& parts, const Clusters& log, const std::vector<int64_t>& rows) {
  double loss = 0;
  for (int64_t row : rows) {
    std::vector<double> h(log.x.row(row), log.x.row(row) + log.x.cols());
    for (size_t p = 0; p < parts.size(); p += 2) {
      std::vector<double> z = parts[p + 1];
      for (size_t k = 0; k < h.size(); ++k)
        for (size_t c = 0; c < z.size(); ++c) z[c] += h[k] * parts[p][k * z.size() + c];
      if (p + 2 < parts.size())
        for (double& v : z) v = std::max(v, 0.0);
      h = z;
    }
    double sum = 0;
    for (double z : h) sum += std::exp(z);
    loss += (std::log(sum) - h[static_cast<size_t>(log.label[static_cast<size_t>(row)])]) /
            static_cast<double>(rows.size());
  }
  return loss;
}

TEST(Mlp, LossAndGradientAreThoseOfAnOracle) {
  const Clusters log = rings(300);
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{7}, std::vector<int64_t>{6, 5}}) {
    const auto backend = cpu();
    MlpOptions options;
    options.hidden = hidden, options.batch = 32;
    MlpTrainer trainer(*backend, log.x.view(), log.label, 3, first_rows(300), options);
    ASSERT_TRUE(trainer.epoch().ok());  // away from the start, where the last layer is 0
    std::vector<int64_t> rows(40);
    std::iota(rows.begin(), rows.end(), 11);
    double loss = 0;
    ASSERT_TRUE(trainer.gradient(rows, loss).ok());
    std::vector<std::vector<double>> values;
    for (const MlpTrainer::Part& part : trainer.parts()) values.emplace_back(part.value.begin(), part.value.end());
    ASSERT_NEAR(loss, loss_of(values, log, rows), 1e-5);  // float32 logits below 8
    int64_t kinks = 0;
    for (size_t p = 0; p < values.size(); ++p)
      for (size_t j = 0; j < values[p].size(); ++j) {
        const double kept = values[p][j], step = 1e-6;
        values[p][j] = kept + step;
        const double above = loss_of(values, log, rows);
        values[p][j] = kept - step;
        const double below = loss_of(values, log, rows);
        values[p][j] = kept;
        // A row within the step of relu's kink leaves no slope to compare with: at most a few do.
        if (!(std::fabs(trainer.parts()[p].gradient[j] - (above - below) / (2 * step)) <= 2e-5)) ++kinks;
      }
    EXPECT_LE(kinks, 1);
  }
}

TEST(Mlp, LearnsWhatNoLinearModelCan) {
  const Clusters log = rings(1200);
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{32}, std::vector<int64_t>{32, 16}}) {
    const auto backend = cpu();
    MlpOptions options;
    options.hidden = hidden, options.batch = 64, options.decay = 0;
    MlpTrainer trainer(*backend, log.x.view(), log.label, 3, first_rows(1000), options);
    for (int epoch = 0; epoch < 60; ++epoch) ASSERT_TRUE(trainer.epoch().ok());
    const AddedMember member = trainer.network();
    auto head = prepare_member(*backend, member);
    ASSERT_TRUE(head.ok());
    Matrix<float> p(200, 3);
    ASSERT_TRUE(member_probabilities(*backend, member, head->get(), log.x.view().rows_from(1000, 200), p.view()).ok());
    int right = 0;
    for (int64_t i = 0; i < 200; ++i) {
      right += std::max_element(p.row(i), p.row(i) + 3) - p.row(i) == log.label[static_cast<size_t>(1000 + i)];
      const std::vector<double> canonical = canonical_member(member, log.x.row(1000 + i), 4);
      for (size_t c = 0; c < 3; ++c) ASSERT_NEAR(p(i, static_cast<int64_t>(c)), canonical[c], kTieBand / 10);
    }
    EXPECT_GE(right, 180) << hidden.size();
  }
}

TEST(Mlp, SameBytesForAnyNumberOfThreadsAndAbsentLabelsAreRemoved) {
  const Clusters log = clusters(600, 4, 12, 0.7, 0.05, 3);
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < 600; ++i)
    if (log.label[static_cast<size_t>(i)] != 1) rows.push_back(i);
  const auto train = [&](int threads, uint64_t seed) {
    const auto backend = cpu(threads);
    MlpOptions options;
    options.hidden = {150, 140}, options.seed = seed;
    MlpTrainer trainer(*backend, log.x.view(), log.label, 4, rows, options);
    for (int epoch = 0; epoch < 3; ++epoch) EXPECT_TRUE(trainer.epoch().ok());
    return trainer.network();
  };
  const AddedMember one = train(1, 5), two = train(2, 5), other = train(1, 6);
  const auto same = [](const Matrix<float>& a, const Matrix<float>& b) {
    return std::equal(a.data(), a.data() + a.size(), b.data());
  };
  for (size_t l = 0; l < 2; ++l) EXPECT_TRUE(same(one.hidden[l].w, two.hidden[l].w));
  EXPECT_TRUE(same(one.w, two.w));
  EXPECT_EQ(one.b, two.b);
  EXPECT_FALSE(same(one.w, other.w));
  EXPECT_EQ(one.b[1], -1e4f);
}

TEST(Networks, WeightsAreThoseOfTheLeastLossAndIdleOnesAreDropped) {
  // Softmax and the first network are each right about half of the rows; the second knows nothing.
  Matrix<float> softmax(400, 2);
  OutOfFoldMembers found;
  found.plan.resize(2), found.plan[0].kind = MemberKind::kMlp, found.plan[1].kind = MemberKind::kPrototype;
  found.probability.emplace_back(400, 2), found.probability.emplace_back(400, 2);
  std::vector<int32_t> label(400);
  for (int64_t i = 0; i < 400; ++i) {
    softmax(i, 0) = i < 200 ? 0.9f : 0.3f, softmax(i, 1) = 1 - softmax(i, 0);
    found.probability[0](i, 0) = i < 200 ? 0.3f : 0.9f, found.probability[0](i, 1) = 1 - found.probability[0](i, 0);
    found.probability[1](i, 0) = 0.1f, found.probability[1](i, 1) = 0.9f;
  }
  weigh_members(std::as_const(softmax).view(), label, found);
  ASSERT_EQ(found.plan.size(), 1u);
  EXPECT_EQ(found.plan[0].kind, MemberKind::kMlp);
  EXPECT_NEAR(found.plan[0].weight, 0.5, 1e-3);  // by symmetry
}

TEST(Networks, WhatCannotWinIsGivenUp) {
  const Clusters log = clusters(400, 4, 8, 0.7, 1.0, 3);  // labels that mean nothing
  std::vector<int32_t> fold;
  for (int32_t i = 0; i < 400; ++i) fold.push_back(i % 3);
  const auto backend = cpu();
  std::vector<std::string> said;
  MemberSearchInput in{
      {log.x.view(), log.label, 4}, fold, 3, {false, true, false}, 1, 0.1, {}, [&](const std::string& s) {
        said.push_back(s);
      }};
  const auto found = out_of_fold_members(*backend, in);
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->plan.empty());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("given up"), std::string::npos) << said[0];
}

// Every network in a policy: scores of the kernels and canonical ones agree, and one thread gives the bytes of two.
TEST(Networks, APolicyWithNetworksIsScoredAlikeByCanonicalScores) {
  Clusters log = clusters(2400, 4, 8, 0.3, 0.02, 9);
  for (int64_t i = 0; i < 2400; ++i) log.label[static_cast<size_t>(i)] /= 2;  // two clusters a label: not linear
  FitOptions o;
  o.alpha = 0.9, o.sweep = {}, o.delta = 0.1, o.choices.members = {true, true, true}, o.choices.label_thresholds = true;
  const auto backend = cpu(2);
  auto made = fit(
      *backend, traces_of({log.label.begin(), log.label.begin() + 1800}, 2),
      [&] {
        Matrix<float> x(1800, 8);
        std::copy_n(log.x.data(), x.size(), x.data());
        return x;
      }(),
      o);
  ASSERT_TRUE(made.ok()) << made.status().message();
  Stage& stage = made->policy.stages[0];
  // The fit may well have done without: here they all have a say.
  if (stage.added.size() < 3) {
    stage.added.clear();
    const MemberData data{log.x.view().rows_from(0, 1800), {log.label.data(), 1800}, 2};
    for (const MemberKind kind : {MemberKind::kPrototype, MemberKind::kMlp, MemberKind::kMlp2}) {
      MemberPlan plan;
      plan.kind = kind, plan.weight = 0.25f, plan.ridge = 0.1, plan.epochs = 4;
      plan.hidden = kind == MemberKind::kMlp ? std::vector<int64_t>{64} : std::vector<int64_t>{64, 32};
      auto member = learn_member(*backend, data, plan);
      ASSERT_TRUE(member.ok());
      stage.added.push_back(std::move(member).value());
    }
    stage.acceptor.mean.resize(static_cast<size_t>(acceptor_feature_count(3)), 0.1),
        stage.acceptor.scale.resize(static_cast<size_t>(acceptor_feature_count(3)), 1.0);
    stage.acceptor.coef.resize(static_cast<size_t>(acceptor_feature_count(3)) + 1, 0.2);
  }
  stage.acceptor.label_offset = {0.5, -0.5};
  std::vector<RowScore> plain;
  Matrix<int32_t> near;
  Matrix<float> similarity;
  ASSERT_TRUE(score_rows(*backend, stage, log.x.view(), plain, &near, &similarity).ok());
  for (int64_t i = 0; i < log.x.rows(); ++i) {
    const RowScore& a = plain[static_cast<size_t>(i)];
    const RowScore b = canonical_score(stage, log.x.row(i), near.row(i), similarity.row(i));
    ASSERT_NEAR(a.features.top1, b.features.top1, kTieBand / 10);
    if (a.features.top1 - a.features.top2 <= kTieBand) continue;
    ASSERT_EQ(a.features.label, b.features.label);
    ASSERT_EQ(a.features.n_added, 3);
    ASSERT_NEAR(a.score, b.score, kScoreBand / 10);
  }
}

}  // namespace
}  // namespace tracer
