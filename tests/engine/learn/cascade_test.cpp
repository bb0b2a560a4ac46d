// Two stages as one policy: who answers a row, how much the text stage is left, and what the certificate is worth.
#include "engine/learn/cascade.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/fit.h"
#include "engine/policy/router.h"
#include "engine/policy/text_stage.h"
#include "engine/prove/certify.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::Draws;
using testing::kSlower;
using testing::traces_of;
using testing::violates;

TEST(Cascade, EveryRowHasOneStage) {
  const std::vector<double> score = {0.9, 0.8, 0.7, 0.6};
  const std::vector<int32_t> predicted = {0, 0, 0, 0}, teacher = {1, 1, 0, 0};
  const std::vector<uint8_t> gated = {1, 1, 0, 1};
  const TextSide text{{0.5, 0.5000001, 0.99, 0.2}, {1, 1, 1, 1}, {0, 0, 1, 0}};
  const PairedRows rows = pair_stages({score, predicted, gated}, text, teacher, 0.5);
  EXPECT_EQ(rows.text, (std::vector<uint8_t>{0, 1, 0, 0}));  // at t: not above; closed; below
  EXPECT_EQ(rows.score, (std::vector<double>{0.9, 0.5000001, 0.7, 0.6}));
  EXPECT_EQ(rows.predicted, (std::vector<int32_t>{0, 1, 0, 0}));
  EXPECT_EQ(rows.disagree, (std::vector<uint8_t>{1, 0, 0, 0}));
  EXPECT_EQ(rows.gated, (std::vector<uint8_t>{1, 0, 0, 1}));
  const PairedRows none = pair_stages({score, predicted, gated}, text, teacher, 1);
  EXPECT_EQ(none.text, (std::vector<uint8_t>(4, 0)));
  EXPECT_EQ(none.score, score);
}

// Both stages' scores and disagreements of one traffic: the text stage is calibrated but for `flattery`, added to its
// logit, and the rows that it is sure of are mostly those that the other is sure of.
struct Pool {
  std::vector<double> score;
  std::vector<int32_t> predicted, teacher;
  std::vector<uint8_t> gated;
  TextSide text;

  VectorSide vectors() const { return {score, predicted, gated}; }
};
Pool pool_of(int64_t n, double flattery, uint64_t seed) {
  Draws draws(seed);
  Pool p;
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
  for (int64_t i = 0; i < n; ++i) {
    const double ease = 2.5 + 2 * draws.normal(), z = ease + 1 + 0.5 * draws.normal(),
                 t = ease - 0.5 + 0.5 * draws.normal();
    p.teacher.push_back(0);
    p.score.push_back(sigmoid(z));
    p.predicted.push_back(draws.uniform() < sigmoid(z) ? 0 : 1);
    p.gated.push_back(draws.uniform() < 0.01);
    p.text.score.push_back(sigmoid(t + flattery));
    p.text.predicted.push_back(draws.uniform() < sigmoid(t) ? 0 : 2);
    p.text.closed.push_back(draws.uniform() < 0.05);
  }
  return p;
}

double expected_agreement(const PairedRows& rows, double threshold) {
  double handled = 0, agree = 0;
  for (size_t i = 0; i < rows.score.size(); ++i)
    if (!rows.gated[i] && rows.score[i] > threshold) ++handled, agree += !rows.disagree[i];
  return handled > 0 ? agree / handled : 1;
}

TEST(Cascade, TheTextStageGetsWhatItMayAndNoMore) {
  const Pool learn = pool_of(20000, 0, 1);
  const std::vector<double> alphas = {0.9, 0.95, 0.99};
  const auto plans = plan_cascade(learn.vectors(), learn.text, learn.teacher, alphas, 0.05, 5000, 0.01);
  ASSERT_EQ(plans.size(), 3u);
  for (const CascadePlan& plan : plans) {
    EXPECT_GE(plan.coverage, plan.coverage_alone - 0.01);
    const PairedRows rows = pair_stages(learn.vectors(), learn.text, learn.teacher, plan.threshold);
    EXPECT_EQ(plan.share, static_cast<double>(std::count(rows.text.begin(), rows.text.end(), 1)) / 20000);
  }
  EXPECT_GT(plans[1].share, 0.1);
  EXPECT_GE(plans[0].share, plans[2].share);
  const auto dear = plan_cascade(learn.vectors(), learn.text, learn.teacher, alphas, 0.05, 5000, 0.1);
  EXPECT_GT(dear[1].share, plans[1].share);
}

TEST(Cascade, AUselessTextStageGetsNothing) {
  Pool learn = pool_of(5000, 0, 2);
  learn.text.predicted.assign(5000, 2);
  const auto plans = plan_cascade(learn.vectors(), learn.text, learn.teacher, std::vector<double>{0.95}, 0.05, 1000, 0);
  EXPECT_EQ(plans[0].threshold, 1);
  EXPECT_EQ(plans[0].share, 0);
  learn.text.closed.assign(5000, 1);
  const auto closed =
      plan_cascade(learn.vectors(), learn.text, learn.teacher, std::vector<double>{0.95}, 0.05, 1000, 0);
  EXPECT_EQ(closed[0].threshold, 1);
}

// The promise, as a statistic: learn and certify drawn from one traffic, also where the text stage flatters itself, so
// that its rows come first with less agreement than they claim.
TEST(Cascade, CertificatesOfAPairAreFalseNoMoreOftenThanDelta) {
  constexpr double kDelta = 0.1;
  constexpr int64_t kTrials = 300 / kSlower, kLearn = 1500, kCertify = 400;
  for (const double flattery : {0.0, 2.0}) {
    const Pool traffic = pool_of(200000, flattery, 3);
    Draws draws(4);
    int64_t violations = 0, deployed = 0, by_text = 0;
    for (int64_t trial = 0; trial < kTrials; ++trial) {
      const auto drawn = [&](int64_t n) {
        Pool p;
        for (int64_t i = 0; i < n; ++i) {
          const auto j = static_cast<size_t>(draws.below(static_cast<int64_t>(traffic.score.size())));
          p.score.push_back(traffic.score[j]), p.predicted.push_back(traffic.predicted[j]);
          p.teacher.push_back(traffic.teacher[j]), p.gated.push_back(traffic.gated[j]);
          p.text.score.push_back(traffic.text.score[j]), p.text.predicted.push_back(traffic.text.predicted[j]);
          p.text.closed.push_back(traffic.text.closed[j]);
        }
        return p;
      };
      const Pool learn = drawn(kLearn), certify = drawn(kCertify);
      const double alpha = 0.95;
      const CascadePlan plan = plan_cascade(learn.vectors(), learn.text, learn.teacher, std::vector<double>{alpha},
                                            kDelta, kCertify, 0.02)[0];
      by_text += plan.threshold < 1;
      const PairedRows planned = pair_stages(learn.vectors(), learn.text, learn.teacher, plan.threshold),
                       tested = pair_stages(certify.vectors(), certify.text, certify.teacher, plan.threshold);
      std::vector<int32_t> unit(kLearn);
      CertifyOptions options;
      options.delta = kDelta, options.seed = static_cast<uint64_t>(trial);
      const Certifier certifier({planned.score, planned.disagree, planned.gated, unit, 0}, ProofUnit::kRows, options,
                                kCertify, kCertify, 1);
      std::vector<int32_t> certify_unit(kCertify);
      const Certificate c =
          certifier.certify({tested.score, tested.disagree, tested.gated, certify_unit, kCertify, 1}, alpha);
      if (!c.certified) continue;
      ++deployed;
      const PairedRows truth = pair_stages(traffic.vectors(), traffic.text, traffic.teacher, plan.threshold);
      violations += expected_agreement(truth, c.threshold) < alpha;
    }
    EXPECT_FALSE(violates(violations, kTrials, kDelta, 0.01)) << violations << " of " << kTrials << ", " << flattery;
    EXPECT_GT(deployed, kTrials / 2) << flattery;
    EXPECT_GT(by_text, kTrials / 2) << flattery;
  }
}

// What fit certified is what routing decides, row by row, and not a byte hangs on the number of threads.
TEST(Cascade, FitCertifiesWhatRoutingDecides) {
  constexpr int32_t kClasses = 4;
  const Clusters log = clusters(3000, kClasses, 12, 1.2, 0.02, 21);
  Draws draws(22);
  std::vector<std::string> texts;
  for (size_t i = 0; i < log.label.size(); ++i) {
    const bool easy = draws.uniform() < 0.6;
    texts.push_back((easy ? "about topic" + std::to_string(log.label[i]) : std::string("some question")) + " number " +
                    std::to_string(draws.below(50)));
  }
  FitOptions o;
  o.alpha = 0.9, o.sweep = {0.8, 0.95}, o.delta = 0.1, o.split.seed = 5;
  o.cascade_texts = texts;
  const Traces traces = traces_of(log.label, kClasses);
  const auto one = cpu(1), two = cpu(3);
  const auto a = fit(*one, traces, log.x.clone(), o), b = fit(*two, traces, log.x.clone(), o);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE(a->policy.text && b->policy.text);
  ASSERT_EQ(a->policy.certificates.size(), 3u);
  std::vector<RowScore> vectors;
  Matrix<float> x = log.x.clone();
  ASSERT_TRUE(one->normalise_rows(x.view()).ok());
  for (size_t k = 0; k < 3; ++k) {
    const Certificate &c = a->policy.certificates[k], &d = b->policy.certificates[k];
    EXPECT_EQ(c.threshold, d.threshold);
    EXPECT_EQ(c.text_threshold, d.text_threshold);
    EXPECT_EQ(c.n_agree, d.n_agree);
    ASSERT_TRUE(c.certified) << c.reason;
    EXPECT_LT(c.text_threshold, 1);
    EXPECT_EQ(a->cascade[k].threshold, c.text_threshold);
    const DecisionRule rule = decision_rule(a->policy, c);
    const auto stage = prepare_stage(*one, a->policy.stages[0], {c.threshold});
    ASSERT_TRUE(stage.ok());
    ASSERT_TRUE(score_rows(*one, *stage, x.view(), vectors).ok());
    std::vector<std::optional<RowScore>> answered;
    answer_texts(one.get(), *a->policy.text, rule, texts, answered);
    int64_t handled = 0, agree = 0, text_handled = 0, text_agree = 0;
    for (const int32_t r : a->split.certify) {
      const auto i = static_cast<size_t>(r);
      const RowScore& row = answered[i] ? *answered[i] : vectors[i];
      if (decide(row, rule) != Reason::kAccepted) continue;
      const bool agrees = row.features.label == log.label[i];
      ++handled, agree += agrees, text_handled += row.text, text_agree += row.text && agrees;
    }
    EXPECT_EQ(handled, c.n_handled);
    EXPECT_EQ(agree, c.n_agree);
    EXPECT_EQ(text_handled, c.text_handled);
    EXPECT_EQ(text_agree, c.text_agree);
    EXPECT_GT(text_handled, handled / 3);
  }
}

TEST(Cascade, WithoutTextsNothingIsOtherwise) {
  const Clusters log = clusters(1500, 3, 12, 1.0, 0.02, 23);
  FitOptions o;
  o.alpha = 0.9, o.sweep = {0.8}, o.delta = 0.1;
  const auto backend = cpu(1);
  const auto r = fit(*backend, traces_of(log.label, 3), log.x.clone(), o);
  ASSERT_TRUE(r.ok());
  EXPECT_FALSE(r->policy.text);
  EXPECT_TRUE(r->cascade.empty());
  for (const Certificate& c : r->policy.certificates) EXPECT_EQ(c.text_threshold, 1);
  std::vector<std::string> few = {"a"};
  o.cascade_texts = few;
  EXPECT_EQ(fit(*backend, traces_of(log.label, 3), log.x.clone(), o).status().code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
