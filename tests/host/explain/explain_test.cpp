#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "host/explain/boundary.h"
#include "host/explain/causes.h"
#include "host/explain/labels.h"
#include "host/explain/slices.h"
#include "host/explain/suspects.h"
#include "host/explain/words.h"

namespace tracer {
namespace {

constexpr int32_t kClasses = 4;
constexpr int64_t kReferences = 30;

struct Draws {
  explicit Draws(uint64_t seed) : bits(seed) {}
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  std::mt19937_64 bits;
};

void unit_row(Draws& draws, float* row, int64_t d) {
  double length = 0;
  for (int64_t j = 0; j < d; ++j) row[j] = static_cast<float>(draws.uniform() - 0.5), length += row[j] * row[j];
  for (int64_t j = 0; j < d; ++j) row[j] /= static_cast<float>(std::sqrt(length));
}

// Rows of every kind, of a policy whose label 3 is rare.
struct Example {
  Policy policy;
  Certificate certificate;
  std::vector<ExplainedRow> rows;

  Example(int64_t n, uint64_t seed) {
    Draws draws(seed);
    policy.labels = {"a", "b", "c", "d"};
    Stage stage;
    stage.label_frequency = {0.4, 0.3, 0.2, 0.1};
    stage.neighbours.references = Matrix<float>(kReferences, 3);
    for (int64_t r = 0; r < kReferences; ++r) {
      unit_row(draws, stage.neighbours.references.row(r), 3);
      stage.neighbours.label.push_back(static_cast<int32_t>(draws.below(kClasses)));
    }
    policy.stages.push_back(std::move(stage));
    certificate.alpha = 0.7, certificate.certified = true, certificate.threshold = 0.8, certificate.n_learn = 100;
    for (int64_t i = 0; i < n; ++i) {
      ExplainedRow r;
      r.label = static_cast<int32_t>(draws.below(kClasses));
      r.runner_up = (r.label + 1) % kClasses;
      r.score = static_cast<double>(draws.below(40)) / 40;
      r.teacher = draws.uniform() < r.score ? r.label : static_cast<int32_t>(draws.below(kClasses + 1)) - 1;
      r.p1 = static_cast<float>(0.4 + 0.5 * draws.uniform());
      r.p2 = static_cast<float>((1 - r.p1) * draws.uniform());
      r.p_teacher = r.agrees() ? r.p1 : static_cast<float>(0.1 * draws.uniform());
      r.vote_label = static_cast<float>(draws.below(11)) / 10;
      r.nearest = static_cast<float>(0.9 + 0.1 * draws.uniform());
      r.near.fill(-1);
      for (size_t j = 0; j < static_cast<size_t>(draws.below(kNear + 1)); ++j)
        r.near[j] = static_cast<int32_t>(draws.below(kReferences));
      const double kind = draws.uniform();
      r.decision = kind < 0.05                       ? Reason::kNeverLabel
                   : kind < 0.1                      ? Reason::kOutOfDistribution
                   : kind < 0.15                     ? Reason::kBelowLabelFloor
                   : r.score > certificate.threshold ? Reason::kAccepted
                                                     : Reason::kBelowThreshold;
      rows.push_back(r);
    }
  }
};

bool scored(const ExplainedRow& r) { return r.decision == Reason::kAccepted || r.decision == Reason::kBelowThreshold; }

// The oracle: every score tried as a threshold, each time over all rows.
double naive_plain_threshold(const Example& in) {
  double lowest = 1;
  for (const ExplainedRow& at : in.rows) {
    if (!scored(at)) continue;
    double n = 0, agree = 0;
    for (const ExplainedRow& r : in.rows)
      if (scored(r) && r.score >= at.score) ++n, agree += r.agrees();
    if (agree >= in.certificate.alpha * n) lowest = std::min(lowest, at.score);
  }
  return lowest;
}

bool naive_conflict(const Example& in, const ExplainedRow& r, double least) {
  const NeighbourMember& traces = in.policy.stages[0].neighbours;
  for (const int32_t a : r.near)
    for (const int32_t b : r.near) {
      if (a < 0 || b < 0 || traces.label[a] == traces.label[b]) continue;
      if (traces.label[a] != r.label && traces.label[b] != r.label) continue;
      double similarity = 0;
      for (int64_t j = 0; j < 3; ++j) similarity += traces.references(a, j) * traces.references(b, j);
      if (similarity >= least - 1e-5) return true;
    }
  return false;
}

TEST(Explain, EachRowHasTheFirstReasonThatApplies) {
  std::map<Cause, int64_t> seen;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Example in(150, seed);
    const Causes got = find_causes(in.policy, in.certificate, in.rows);
    EXPECT_EQ(got.plain_threshold, naive_plain_threshold(in)) << seed;
    std::vector<float> nearest;
    for (const ExplainedRow& r : in.rows) nearest.push_back(r.nearest);
    std::sort(nearest.begin(), nearest.end());
    EXPECT_EQ(got.duplicate_similarity, nearest[111]) << seed;  // 3/4 of 149, rounded down
    ASSERT_EQ(got.cause.size(), in.rows.size());
    for (size_t i = 0; i < in.rows.size(); ++i) {
      const ExplainedRow& r = in.rows[i];
      Cause want = Cause::kSpread;
      if (r.p2 >= (1 - r.p1) / 2) want = Cause::kAmbiguous;
      if (r.teacher < 0 || r.teacher == 3 || r.label == 3) want = Cause::kRareLabel;
      if (naive_conflict(in, r, got.duplicate_similarity)) want = Cause::kInconsistent;
      if (r.score >= got.plain_threshold) want = Cause::kMargin;
      if (r.decision == Reason::kBelowLabelFloor) want = Cause::kLabelFloor;
      if (r.decision == Reason::kOutOfDistribution) want = Cause::kFar;
      if (r.decision == Reason::kNeverLabel) want = Cause::kNeverLabel;
      if (r.handled()) want = Cause::kHandled;
      EXPECT_EQ(cause_name(got.cause[i]), std::string(cause_name(want))) << "seed " << seed << ", row " << i;
      ++seen[got.cause[i]];
    }
  }
  // Label 3 has 10 of 100 learn rows, label 2 has 20: rare is fewer than kRareTraces.
  for (const auto& [why, n] : seen) EXPECT_GT(n, 0) << cause_name(why);
  EXPECT_EQ(seen.size(), static_cast<size_t>(kCauses));
}

TEST(Explain, NoRowsAndOneLabelHaveReasonsToo) {
  Example in(0, 1);
  EXPECT_TRUE(find_causes(in.policy, in.certificate, in.rows).cause.empty());
  ExplainedRow only;  // one label: there is no runner-up to be ambiguous with
  only.p1 = 1, only.teacher = 0, only.decision = Reason::kBelowThreshold, only.near.fill(-1);
  ExplainedRow wrong = only;
  wrong.teacher = 1;
  in.rows = {wrong, only};
  in.rows[0].score = 0.5;
  const Causes got = find_causes(in.policy, in.certificate, in.rows);
  EXPECT_EQ(got.plain_threshold, 1);
  EXPECT_EQ(got.cause, (std::vector<Cause>{Cause::kSpread, Cause::kSpread}));
}

TEST(Explain, SuspectsAreTheLeastProbableTeacherLabels) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Example in(1500, seed);
    const auto got = find_suspects(in.rows);
    std::vector<std::pair<float, int64_t>> want;
    for (size_t i = 0; i < in.rows.size(); ++i) {
      const ExplainedRow& r = in.rows[i];
      if (r.decision != Reason::kOutOfDistribution && r.teacher >= 0 && r.teacher != r.label && r.vote_label >= 0.5f)
        want.emplace_back(r.p_teacher / r.p1, static_cast<int64_t>(i));
    }
    ASSERT_GT(want.size(), kMostSuspects);
    std::sort(want.begin(), want.end());
    ASSERT_EQ(got.size(), kMostSuspects);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], want[i].second) << seed << " " << i;
  }
}

TEST(Explain, BorderPairsAreTheNearestAcross) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Example in(60, seed);
    Draws draws(seed);
    Matrix<float> x(60, 3);
    for (int64_t i = 0; i < 60; ++i) unit_row(draws, x.row(i), 3);
    const auto got = find_boundary(in.rows, x.view());
    std::vector<double> want;
    for (int64_t d = 0; d < 60; ++d) {
      double best = -2;
      for (int64_t h = 0; h < 60; ++h)
        if (!in.rows[d].handled() && in.rows[h].handled() && in.rows[d].teacher == in.rows[h].teacher &&
            in.rows[d].teacher >= 0) {
          double dot = 0;
          for (int64_t j = 0; j < 3; ++j) dot += static_cast<double>(x(d, j)) * x(h, j);
          best = std::max(best, dot);
        }
      if (best > -2) want.push_back(best);
    }
    std::sort(want.rbegin(), want.rend());
    if (want.size() > kMostPairs) want.resize(kMostPairs);
    ASSERT_EQ(got.size(), want.size()) << seed;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i].similarity, want[i], 1e-6) << seed;
      EXPECT_TRUE(in.rows[got[i].handled].handled());
      EXPECT_FALSE(in.rows[got[i].deferred].handled());
    }
  }
}

TEST(Explain, LabelsAreCountedByTheDefinition) {
  const Example in(400, 5);
  const Causes reasons = find_causes(in.policy, in.certificate, in.rows);
  const auto labels = explain_labels(in.rows, reasons.cause);
  ASSERT_EQ(labels.size(), static_cast<size_t>(kClasses));
  for (const LabelExplanation& l : labels) {
    int64_t rows = 0, handled = 0, answered = 0, agree = 0, deferred = 0;
    std::map<int32_t, int64_t> taken_for;
    for (const ExplainedRow& r : in.rows) {
      rows += r.teacher == l.label, handled += r.teacher == l.label && r.handled();
      answered += r.label == l.label && r.handled(), agree += r.label == l.label && r.handled() && r.agrees();
      deferred += r.teacher == l.label && !r.handled();
      if (r.teacher == l.label && r.label != l.label) ++taken_for[r.label];
    }
    EXPECT_EQ(l.rows, rows);
    EXPECT_EQ(l.rows_handled, handled);
    EXPECT_EQ(l.answered.handled, answered);
    EXPECT_EQ(l.answered.agree, agree);
    EXPECT_EQ(l.taken_for, taken_for);
    int64_t reasons_given = 0;
    for (const auto& [why, n] : l.deferred) reasons_given += n;
    EXPECT_EQ(reasons_given, deferred);
  }
}

TEST(Explain, WordsAreScoredAsInThePaper) {
  const std::vector<std::string> texts = {"Card lost, card stolen!", "the card", "cash the machine",
                                          "CASH: cash; straße", "cash the cash"};
  std::vector<std::string> many;
  std::vector<int32_t> group;
  for (int copy = 0; copy < 30; ++copy)
    for (size_t i = 0; i < texts.size(); ++i) many.push_back(texts[i]), group.push_back(i >= 2);
  const auto got = distinguishing_words(many, group, 2);
  ASSERT_EQ(got.size(), 2u);
  // Group 0: card 3, lost 1, stolen 1, the 1 of 6 a copy; group 1: cash 5, the 2, machine 1, straße 1 of 9.
  const auto z = [](double in, double in_all, double out, double out_all) {
    const double n = in_all + out_all, prior = 1000 * (in + out) / n;
    const double delta = std::log((in + prior) / (in_all + 1000 - in - prior)) -
                         std::log((out + prior) / (out_all + 1000 - out - prior));
    return delta / std::sqrt(1 / (in + prior) + 1 / (out + prior));
  };
  ASSERT_FALSE(got[0].empty());
  EXPECT_EQ(got[0][0].word, "card");
  EXPECT_EQ(got[0][0].n, 90);
  EXPECT_NEAR(got[0][0].z, z(90, 180, 0, 270), 1e-9);
  ASSERT_FALSE(got[1].empty());
  EXPECT_EQ(got[1][0].word, "cash");
  EXPECT_NEAR(got[1][0].z, z(150, 270, 0, 180), 1e-9);
  for (const auto& words : got)
    for (const DistinguishingWord& w : words) EXPECT_NE(w.word, "the") << w.z;
  EXPECT_EQ(words_of("CASH: straße"), (std::vector<std::string>{"cash", "straße"}));
  EXPECT_TRUE(words_of(" ,;").empty());
  EXPECT_TRUE(distinguishing_words({"", ""}, {0, 1}, 2)[0].empty());
  EXPECT_TRUE(distinguishing_words({"a a", "a"}, {0, 1}, 2)[0].empty());
}

TEST(Explain, ScriptsAreTold) {
  EXPECT_EQ(script_of("a card, please"), "latin");
  EXPECT_EQ(script_of("où est ma carte"), "latin");
  EXPECT_EQ(script_of("где моя карта ok"), "cyrillic");
  EXPECT_EQ(script_of("我的卡在哪里"), "han");
  EXPECT_EQ(script_of("カードはどこ"), "kana");
  EXPECT_EQ(script_of("12, 13!"), "none");
  EXPECT_EQ(script_of(""), "none");
}

TEST(Explain, SlicesAreFlaggedWhereTheyDiffer) {
  std::vector<ExplainedRow> rows;
  SliceKey site{"site", {}}, coin{"coin", {}}, rare{"rare", {}}, same{"same", {}};
  Draws draws(1);
  for (int i = 0; i < 400; ++i) {
    ExplainedRow r;
    const bool bad = i % 4 == 0;
    r.label = 0, r.teacher = draws.uniform() < (bad ? 0.6 : 0.97) ? 0 : 1;
    r.decision = draws.uniform() < 0.8 ? Reason::kAccepted : Reason::kBelowThreshold;
    rows.push_back(r);
    site.value.push_back(bad ? "bad" : i % 4 == 1 ? "" : "good");
    coin.value.push_back(draws.uniform() < 0.5 ? "heads" : "tails");
    rare.value.push_back(i < kFewestSliceRows - 1 ? "few" : "");
    same.value.emplace_back("all");
  }
  const auto slices = find_slices(rows, {site, coin, rare, same});
  ASSERT_EQ(slices.size(), 4u);  // too few rows, and all rows, are no slices
  EXPECT_EQ(slices[0].value, "bad");
  EXPECT_TRUE(slices[0].flag_agreement);
  EXPECT_EQ(slices[0].rows, 100);
  EXPECT_EQ(slices[1].rows, 200);
  for (const Slice& s : slices) EXPECT_FALSE(s.flag_coverage) << s.value;
  EXPECT_FALSE(slices[2].flag_agreement);
  EXPECT_TRUE(find_slices({}, {{"site", {}}}).empty());
}

TEST(Explain, QuartersHoldAllRows) {
  std::vector<std::string> texts;
  for (int words = 1; words <= 8; ++words) texts.push_back(std::string(static_cast<size_t>(2 * words - 1), 'a'));
  for (std::string& t : texts)
    for (size_t i = 1; i < t.size(); i += 2) t[i] = ' ';
  EXPECT_EQ(slices_by_length(texts).value,
            (std::vector<std::string>{"1-2 words", "1-2 words", "3-4 words", "3-4 words", "5-6 words", "5-6 words",
                                      "7-8 words", "7-8 words"}));
  EXPECT_EQ(slices_by_length({"a", "b", "c"}).value, (std::vector<std::string>(3, "1 words")));
  const double none = std::nan("");
  EXPECT_EQ(slices_by_time({0, none, 86400 * 31.0}).value,
            (std::vector<std::string>{"1970-01-01 to 1970-01-01", "", "1970-02-01 to 1970-02-01"}));
}

}  // namespace
}  // namespace tracer
