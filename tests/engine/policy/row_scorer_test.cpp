// The row scorer gives what the stages give, row by row, however many blocks there are and whatever it is asked with.
#include "engine/policy/row_scorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/fit.h"
#include "engine/maths/pick.h"
#include "engine/policy/text_stage.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::Clusters;
using testing::cpu;
using testing::Draws;
using testing::traces_of;

constexpr int32_t kClasses = 4;
constexpr int64_t kDim = 12, kRows = kScoredTogether + 300;

// A cascade, and rows with texts that it has not learned from: 60 % of the texts tell the label.
struct Fitted {
  std::unique_ptr<Backend> backend = cpu(2);
  Policy policy;
  Matrix<float> x;  // unit rows
  std::vector<std::string> texts;

  const Stage& stage() const { return policy.stages[0]; }
  DecisionRule rule() const { return decision_rule(policy, *policy.certificate(0.9)); }
};

Fitted& fitted() {
  static Fitted* const made = [] {
    auto* f = new Fitted;
    const int64_t learn = 1500;
    Clusters log = clusters(learn + kRows, kClasses, kDim, 1.2, 0.02, 21);
    Draws draws(22);
    for (const int32_t label : log.label)
      f->texts.push_back((draws.uniform() < 0.6 ? "about topic" + std::to_string(label) : "some question") +
                         " number " + std::to_string(draws.below(50)));
    FitOptions o;
    o.alpha = 0.9, o.sweep = {}, o.delta = 0.1, o.split.seed = 5;
    const std::vector<std::string> learned(f->texts.begin(), f->texts.begin() + learn);
    o.cascade_texts = learned;
    EXPECT_TRUE(f->backend->normalise_rows(log.x.view()).ok());
    auto r = fit(*f->backend, traces_of({log.label.begin(), log.label.begin() + learn}, kClasses),
                 Matrix<float>::copy_of(log.x.view().rows_from(0, learn)), o);
    EXPECT_TRUE(r.ok()) << r.status().message();
    f->policy = std::move(r->policy);
    f->x = Matrix<float>::copy_of(log.x.view().rows_from(learn, kRows));
    f->texts.erase(f->texts.begin(), f->texts.begin() + learn);
    return f;
  }();
  return *made;
}

void expect_same(const RowScore& a, const RowScore& b, int64_t row) {
  ASSERT_EQ(a.score, b.score) << row;
  ASSERT_EQ(a.features.label, b.features.label) << row;
  ASSERT_EQ(a.features.top1, b.features.top1) << row;
  ASSERT_EQ(a.gated, b.gated) << row;
  ASSERT_EQ(a.text, b.text) << row;
}

std::vector<RowScore> on_vectors(const Fitted& f, bool canonical) {
  const auto stage = prepare_stage(*f.backend, f.stage(), {f.rule().threshold});
  std::vector<RowScore> out;
  EXPECT_TRUE(stage.ok());
  EXPECT_TRUE((canonical ? score_rows_canonically(*f.backend, *stage, f.x.view(), out)
                         : score_rows(*f.backend, *stage, f.x.view(), out))
                  .ok());
  return out;
}

TEST(RowScorer, BlocksGiveWhatOneBatchGives) {
  const Fitted& f = fitted();
  for (const bool canonical : {false, true}) {
    const auto expected = on_vectors(f, canonical);
    const auto scorer =
        RowScorer::open(*f.backend, f.stage(), {.thresholds = {f.rule().threshold}, .canonical = canonical});
    ASSERT_TRUE(scorer.ok());
    std::vector<int64_t> blocks;
    ASSERT_TRUE(scorer
                    ->score({.x = f.x.view()},
                            [&](const ScoredBlock& block) -> Status {
                              blocks.push_back(block.first);
                              EXPECT_EQ(block.probability.rows, 0);
                              for (size_t i = 0; i < block.score.size(); ++i)
                                expect_same(block.score[i], expected[static_cast<size_t>(block.first) + i],
                                            block.first + static_cast<int64_t>(i));
                              return {};
                            })
                    .ok());
    EXPECT_EQ(blocks, (std::vector<int64_t>{0, kScoredTogether}));
  }
}

// Rows picked in any order, and vectors of any length, are scored as the same unit rows in order.
TEST(RowScorer, PicksRowsAndScalesThem) {
  const Fitted& f = fitted();
  const auto expected = on_vectors(f, true);
  const auto scorer = RowScorer::open(*f.backend, f.stage(), {.canonical = true});
  ASSERT_TRUE(scorer.ok());
  Matrix<float> longer = f.x.clone();
  for (int64_t i = 0; i < longer.size(); ++i) longer.data()[i] *= 4;  // a power of two: the scaling is exact
  std::vector<int32_t> backwards;
  for (int64_t i = kRows; i-- > 0;) backwards.push_back(static_cast<int32_t>(i));
  std::vector<RowScore> plain, picked, scaled, both;
  ASSERT_TRUE(scorer->score({.x = f.x.view()}, plain).ok());
  ASSERT_TRUE(scorer->score({.x = f.x.view(), .pick = backwards}, picked).ok());
  ASSERT_TRUE(scorer->score({.x = std::as_const(longer).view(), .normalise = true}, scaled).ok());
  ASSERT_TRUE(scorer->score({.x = std::as_const(longer).view(), .pick = backwards, .normalise = true}, both).ok());
  ASSERT_EQ(both.size(), static_cast<size_t>(kRows));
  int64_t others = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const auto at = static_cast<size_t>(i), mirrored = static_cast<size_t>(kRows - 1 - i);
    expect_same(plain[at], expected[at], i);
    expect_same(picked[mirrored], expected[at], i);
    // A unit row is scaled again: its last bits may change, and a score with them.
    ASSERT_NEAR(scaled[at].score, expected[at].score, 1e-3) << i;
    expect_same(both[mirrored], scaled[at], i);
    others += longer(i, 0) != 4 * f.x(i, 0);
  }
  EXPECT_EQ(others, 0) << "the caller's vectors were changed";
  const std::vector<int32_t> none;
  ASSERT_TRUE(scorer->score({.x = f.x.view(), .pick = none}, picked).ok());
  EXPECT_TRUE(picked.empty());
}

TEST(RowScorer, TheTextStageAnswersFirst) {
  const Fitted& f = fitted();
  const auto vectors = on_vectors(f, false);
  const auto scorer = RowScorer::open(*f.backend, f.policy, f.rule());
  ASSERT_TRUE(scorer.ok() && scorer->has_text_stage());
  std::vector<RowScore> scores, without;
  ASSERT_TRUE(scorer->score({.x = f.x.view(), .texts = f.texts}, scores).ok());
  ASSERT_TRUE(scorer->score({.x = f.x.view()}, without).ok());
  int64_t by_text = 0;
  TextScratch scratch;
  for (int64_t i = 0; i < kRows; ++i) {
    const auto at = static_cast<size_t>(i);
    const RowScore text = score_text(*f.policy.text, f.texts[at], scratch);
    const bool answers = text_stage_answers(text, f.rule());
    by_text += answers;
    expect_same(scores[at], answers ? text : vectors[at], i);
    expect_same(without[at], vectors[at], i);
  }
  EXPECT_GT(by_text, kRows / 3);
  EXPECT_LT(by_text, kRows);

  // The same in two steps, with the vectors of the rest alone.
  std::vector<std::optional<RowScore>> answered;
  scorer->answer_texts(f.texts, answered);
  std::vector<int64_t> rest;
  for (int64_t i = 0; i < kRows; ++i)
    if (!answered[static_cast<size_t>(i)]) rest.push_back(i);
  std::vector<RowScore> in_steps;
  const Matrix<float> x = pick_rows(f.x.view(), rest);
  ASSERT_TRUE(scorer->score_rest(x.view(), answered, in_steps).ok());
  ASSERT_EQ(in_steps.size(), scores.size());
  for (int64_t i = 0; i < kRows; ++i) expect_same(in_steps[static_cast<size_t>(i)], scores[static_cast<size_t>(i)], i);
  EXPECT_EQ(scorer->score_rest(f.x.view(), answered, in_steps).code(), ErrorCode::kInternal);

  // A rule that gives the text stage nothing.
  DecisionRule never = f.rule();
  never.text_threshold = 1;
  const auto alone = RowScorer::open(*f.backend, f.policy, never);
  ASSERT_TRUE(alone.ok());
  EXPECT_FALSE(alone->has_text_stage());
  ASSERT_TRUE(alone->score({.x = f.x.view(), .texts = f.texts}, scores).ok());
  EXPECT_TRUE(std::none_of(scores.begin(), scores.end(), [](const RowScore& s) { return s.text; }));
}

TEST(RowScorer, DetailsAreThoseOfTheStageThatAnswers) {
  const Fitted& f = fitted();
  const auto stage = prepare_stage(*f.backend, f.stage(), {f.rule().threshold});
  ASSERT_TRUE(stage.ok());
  std::vector<RowScore> vectors;
  Matrix<int32_t> near;
  Matrix<float> similarity, probability;
  ASSERT_TRUE(score_rows(*f.backend, *stage, f.x.view(), vectors, &near, &similarity, &probability).ok());
  const auto scorer = RowScorer::open(*f.backend, f.policy, f.rule());
  ASSERT_TRUE(scorer.ok());
  int64_t seen = 0, by_text = 0;
  TextScratch scratch;
  const auto take = [&](const ScoredBlock& block) -> Status {
    for (int64_t i = 0; i < static_cast<int64_t>(block.score.size()); ++i, ++seen) {
      const RowScore& row = block.score[static_cast<size_t>(i)];
      const int64_t at = block.first + i;
      EXPECT_TRUE(std::equal(near.row(at), near.row(at) + near.cols(), block.neighbour.row(i))) << at;
      EXPECT_TRUE(std::equal(similarity.row(at), similarity.row(at) + near.cols(), block.similarity.row(i))) << at;
      EXPECT_EQ(row.features.nearest, vectors[static_cast<size_t>(at)].features.nearest) << at;
      if (row.text) score_text(*f.policy.text, f.texts[static_cast<size_t>(at)], scratch);
      for (int64_t c = 0; c < kClasses; ++c)
        EXPECT_EQ(block.probability(i, c),
                  row.text ? static_cast<float>(scratch.values[static_cast<size_t>(c)]) : probability(at, c))
            << at << " " << c;
      by_text += row.text;
    }
    return {};
  };
  ASSERT_TRUE(scorer->score({.x = f.x.view(), .texts = f.texts, .details = true}, take).ok());
  EXPECT_EQ(seen, kRows);
  EXPECT_GT(by_text, kRows / 3);
  const auto canonical = RowScorer::open(*f.backend, f.stage(), {.canonical = true});
  ASSERT_TRUE(canonical.ok());
  EXPECT_EQ(canonical->score({.x = f.x.view(), .details = true}, take).code(), ErrorCode::kInternal);
}

// A damaged number makes the scores of one label no numbers; the message names the first such row, in any block.
TEST(RowScorer, NamesTheRowWhoseScoreIsNotFinite) {
  Fitted& f = fitted();
  const auto good = on_vectors(f, false);
  constexpr int32_t kBad = 2;
  const auto carries = [&](bool bad) {
    return static_cast<int32_t>(
        std::find_if(good.begin(), good.end(), [&](const RowScore& s) { return (s.features.label == kBad) == bad; }) -
        good.begin());
  };
  std::vector<int32_t> pick(static_cast<size_t>(kScoredTogether) + 7, carries(false));
  pick.back() = carries(true);
  const std::vector<double> whole = f.policy.stages[0].acceptor.label_offset;
  f.policy.stages[0].acceptor.label_offset.assign(kClasses, 0.0);
  f.policy.stages[0].acceptor.label_offset[kBad] = std::numeric_limits<double>::quiet_NaN();
  const auto scorer = RowScorer::open(*f.backend, f.policy, f.rule());
  ASSERT_TRUE(scorer.ok());
  std::vector<RowScore> out;
  const Status unnamed = scorer->score({.x = f.x.view(), .pick = pick}, out);
  const Status named = scorer->score(
      {.x = f.x.view(), .pick = pick, .name = [](int64_t i) { return "line " + std::to_string(2 * i); }}, out);
  const std::vector<std::optional<RowScore>> answered = {good[0], std::nullopt};
  const Status rest = scorer->score_rest(f.x.view().rows_from(pick.back(), 1), answered, out);
  f.policy.stages[0].acceptor.label_offset = whole;
  EXPECT_EQ(unnamed.code(), ErrorCode::kBadInput);
  EXPECT_NE(unnamed.message().find("finite score of row 4102, found "), std::string::npos) << unnamed.message();
  EXPECT_NE(named.message().find("finite score of line 8204, found "), std::string::npos) << named.message();
  EXPECT_NE(rest.message().find("finite score of row 1, found "), std::string::npos) << rest.message();
  pick.pop_back();
  EXPECT_TRUE(scorer->score({.x = f.x.view(), .pick = pick}, out).ok());
}

TEST(RowScorer, ErrorsEndThePass) {
  const Fitted& f = fitted();
  const auto scorer = RowScorer::open(*f.backend, f.policy, f.rule());
  ASSERT_TRUE(scorer.ok());
  int64_t taken = 0;
  const auto take = [&](const ScoredBlock&) {
    ++taken;
    return io_error("full");
  };
  EXPECT_EQ(scorer->score({.x = f.x.view()}, take).code(), ErrorCode::kIo);
  EXPECT_EQ(taken, 1);
  const std::vector<std::string> few = {"a"};
  EXPECT_EQ(scorer->score({.x = f.x.view(), .texts = few}, take).code(), ErrorCode::kInternal);
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(RowScorer::open(*f.backend, Policy{}, {}).status().code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
