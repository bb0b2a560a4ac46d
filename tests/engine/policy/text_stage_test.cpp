// The text stage: its arithmetic against a naive oracle, its training against the definition, its answers for any
// number of threads.
#include "engine/policy/text_stage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/learn/softmax_path.h"
#include "engine/learn/text_stage_fit.h"
#include "engine/text/sparse_softmax.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::cpu;
using testing::Draws;

// Texts of a few words, two of which tell the label; `wrong` of them carry another.
struct TextLog {
  std::vector<std::string> text;
  std::vector<int32_t> label, fold;

  std::vector<std::string_view> views() const { return {text.begin(), text.end()}; }
};
TextLog text_log(int64_t n, int32_t classes, double wrong, uint64_t seed) {
  static const char* const kWords[] = {"please", "tell", "me", "about", "the", "thing", "again", "why", "how", "soon"};
  Draws draws(seed);
  TextLog log;
  for (int64_t i = 0; i < n; ++i) {
    const auto c = static_cast<int32_t>(draws.below(classes));
    std::string text = "topic" + std::to_string(c);
    for (int64_t w = 2 + draws.below(6); w > 0; --w) text += std::string(" ") + kWords[draws.below(10)];
    log.text.push_back(text + " matter" + std::to_string(c));
    log.label.push_back(draws.uniform() < wrong ? static_cast<int32_t>(draws.below(classes)) : c);
    log.fold.push_back(static_cast<int32_t>(draws.below(3)));
  }
  return log;
}

Result<TextSearchResult> learned(Backend& backend, const TextLog& log, int32_t classes,
                                 std::vector<int32_t> never = {}) {
  const std::vector<double> frequency(static_cast<size_t>(classes), 1.0 / classes);
  return search_text_stage(backend, {log.views(), log.label, log.fold, 3, classes, frequency, never}, {});
}

TEST(TextStage, AnswersMatchANaiveOracle) {
  Draws draws(3);
  Matrix<float> w(kNgramBuckets, 5);
  for (int64_t i = 0; i < w.size(); ++i) w.data()[i] = static_cast<float>(3 * draws.normal());
  std::vector<float> bias = {0.5f, -1, 0, 2, kRemovedBias};
  NgramHasher hasher;
  NgramRow row;
  for (const char* text : {"", "my card", "a much longer text, about cards & their limits", "你好 😀"}) {
    hasher.hash(text, row);
    long double z[4], largest = -1e30L, sum = 0, entropy = 0;
    for (int c = 0; c < 4; ++c) {
      z[c] = bias[static_cast<size_t>(c)];
      for (size_t e = 0; e < row.index.size(); ++e)
        z[c] += static_cast<long double>(row.weight[e]) * static_cast<long double>(w(row.index[e], c));
      largest = std::max(largest, z[c]);
    }
    for (long double v : z) sum += std::exp(v - largest);
    int label = 0;
    for (int c = 0; c < 4; ++c) {
      const long double p = std::exp(z[c] - largest) / sum;
      entropy -= p > 0 ? p * std::log(p) : 0;
      if (z[c] > z[label]) label = c;
    }
    std::vector<double> scratch;
    const TextAnswer answer = text_answer(row, w.view(), bias.data(), scratch);
    ASSERT_EQ(scratch.size(), 5u);
    EXPECT_EQ(answer.label, label) << text;
    EXPECT_EQ(scratch[4], 0) << "a removed label";
    for (int c = 0; c < 4; ++c) {
      const double expected = static_cast<double>(std::exp(z[c] - largest) / sum);
      EXPECT_TRUE(std::abs(scratch[static_cast<size_t>(c)] - expected) <= 1e-12) << text << " " << c;
    }
    EXPECT_EQ(answer.top1, scratch[static_cast<size_t>(label)]);
    EXPECT_TRUE(std::abs(answer.entropy - static_cast<double>(entropy / std::log(5.0L))) <= 1e-12);
  }
}

TEST(TextStage, TrainingEndsWhereTheGradientVanishes) {
  const auto backend = cpu(2);
  const TextLog log = text_log(300, 3, 0.1, 5);
  SparseMatrix x;
  NgramHasher hasher;
  NgramRow row;
  for (const std::string& text : log.text) {
    hasher.hash(text, row);
    x.add_row(row.index, row.weight);
  }
  Matrix<float> w(kNgramBuckets + 1, 3);
  const SparseSoftmaxOptions options{10, 1e-4, 200};
  ASSERT_TRUE(minimise_sparse_softmax(*backend, x, log.label, options, w).ok());
  const auto n = static_cast<double>(log.text.size());
  Matrix<double> gradient(kNgramBuckets + 1, 3);
  for (size_t i = 0; i < log.text.size(); ++i) {
    hasher.hash(log.text[i], row);
    std::vector<double> p;
    text_answer(row, w.view().rows_from(0, kNgramBuckets), w.row(kNgramBuckets), p);
    for (int32_t c = 0; c < 3; ++c) {
      const double excess = (p[static_cast<size_t>(c)] - (log.label[i] == c)) / n;
      for (size_t e = 0; e < row.index.size(); ++e) gradient(row.index[e], c) += excess * double{row.weight[e]};
      gradient(kNgramBuckets, c) += excess;
    }
  }
  double squares = 0;
  for (int64_t r = 0; r <= kNgramBuckets; ++r)
    for (int64_t c = 0; c < 3; ++c) {
      const double g = gradient(r, c) + (r < kNgramBuckets ? double{w(r, c)} / (options.cost * n) : 0);
      squares += g * g;
    }
  // Rounding of a float32 gradient of sums of 300 terms of at most 1/300 each adds less than the tolerance itself.
  EXPECT_TRUE(std::sqrt(squares) <= 2e-4) << std::sqrt(squares);
}

TEST(TextStage, LearnsWhatWordsTellAndKnowsWhatItHasNotSeen) {
  const auto backend = cpu(2);
  const TextLog log = text_log(900, 4, 0, 7), fresh = text_log(300, 4, 0, 8);
  const auto found = learned(*backend, log, 4);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_GT(found->agreement, 0.98);
  TextScratch scratch;
  for (size_t i = 0; i < fresh.text.size(); ++i) {
    const RowScore s = score_text(found->stage, fresh.text[i], scratch);
    EXPECT_TRUE(s.text && !s.gated && s.score > 0.9);
    EXPECT_EQ(s.features.label, fresh.label[i]);
  }
  for (const char* text : {"", "?!", "zebra quagga okapi", "\xff\xff"}) {
    const RowScore s = score_text(found->stage, text, scratch);
    EXPECT_TRUE(s.gated) << text;
    EXPECT_TRUE(s.score > 0 && s.score < 1);
  }
}

TEST(TextStage, NoAnswerHangsOnThreadsOrCompany) {
  const TextLog log = text_log(700, 3, 0.2, 9);
  const auto one = cpu(1), three = cpu(3);
  const auto a = learned(*one, log, 3), b = learned(*three, log, 3);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_TRUE(std::equal(a->stage.w.data(), a->stage.w.data() + a->stage.w.size(), b->stage.w.data()));
  EXPECT_EQ(a->stage.b, b->stage.b);
  EXPECT_EQ(a->stage.words, b->stage.words);
  EXPECT_EQ(a->stage.acceptor.coef, b->stage.acceptor.coef);
  EXPECT_EQ(a->side.score, b->side.score);
  DecisionRule rule;
  rule.text_threshold = 0.5;
  std::vector<std::optional<RowScore>> all, alone;
  answer_texts(three.get(), a->stage, rule, log.text, all);
  for (size_t i = 0; i < log.text.size(); i += 37) {
    answer_texts(nullptr, a->stage, rule, {&log.text[i], 1}, alone);
    ASSERT_EQ(alone[0].has_value(), all[i].has_value());
    if (alone[0]) {
      EXPECT_EQ(alone[0]->score, all[i]->score);
    }
  }
}

TEST(TextStage, LabelsNeverToBeAnsweredAreLeftToTheNextStage) {
  const auto backend = cpu(1);
  const TextLog log = text_log(600, 3, 0, 11);
  const auto found = learned(*backend, log, 3, {1});
  ASSERT_TRUE(found.ok());
  for (size_t i = 0; i < log.text.size(); ++i) {
    if (found->side.predicted[i] == 1) {
      EXPECT_TRUE(found->side.closed[i]);
    }
  }
  DecisionRule rule{0, {Reason::kAccepted, Reason::kNeverLabel, Reason::kAccepted}, 0.0};
  std::vector<std::optional<RowScore>> answers;
  answer_texts(backend.get(), found->stage, rule, log.text, answers);
  int64_t answered = 0;
  for (const auto& answer : answers) {
    if (!answer) continue;
    ++answered;
    EXPECT_NE(answer->features.label, 1);
  }
  EXPECT_GT(answered, 200);
}

TEST(TextStage, TooManyLabelsAreRefused) {
  const auto backend = cpu(1);
  const TextLog log = text_log(60, 3, 0, 12);
  const auto found = learned(*backend, log, kMostTextLabels + 1);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace tracer
