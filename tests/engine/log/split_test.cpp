#include "engine/log/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;
using testing::traces_of;

Traces traffic(int64_t n, int32_t classes, uint64_t seed) {
  Draws draws(seed);
  std::vector<int32_t> label;
  // Frequencies fall off like 1, 1/2, 1/3, ..
  double total = 0;
  for (int32_t c = 0; c < classes; ++c) total += 1.0 / (c + 1);
  for (int64_t i = 0; i < n; ++i) {
    double u = draws.uniform() * total;
    int32_t c = 0;
    while (c + 1 < classes && u >= 1.0 / (c + 1)) u -= 1.0 / (c + 1), ++c;
    label.push_back(c);
  }
  return traces_of(label, classes);
}

Split must(const Traces& traces, SplitKind kind, uint64_t seed = 0, double fraction = 0.25, int folds = 5) {
  auto split = make_split(traces, {kind, fraction, folds, seed});
  EXPECT_TRUE(split.ok()) << split.status().message();
  return std::move(split).value();
}

// What holds of every split.
void check(const Split& s, int64_t n, int folds) {
  std::vector<int> seen(n, 0);
  for (const auto* side : {&s.learn, &s.certify, &s.unused}) {
    EXPECT_TRUE(std::is_sorted(side->begin(), side->end()));
    for (int32_t row : *side) {
      ASSERT_TRUE(row >= 0 && row < n);
      ++seen[row];
    }
  }
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(seen[i], 1) << "row " << i;
  ASSERT_EQ(s.fold.size(), s.learn.size());
  ASSERT_EQ(s.unit.size(), s.learn.size());
  ASSERT_EQ(s.certify_unit.size(), s.certify.size());
  const std::set<int32_t> units(s.unit.begin(), s.unit.end()),
      certify_units(s.certify_unit.begin(), s.certify_unit.end());
  if (!units.empty()) {
    EXPECT_EQ(*units.rbegin() + 1, static_cast<int32_t>(units.size()));
  }
  if (!certify_units.empty()) {
    EXPECT_EQ(*certify_units.rbegin() + 1, static_cast<int32_t>(certify_units.size()));
  }
  EXPECT_LE(s.folds, folds);
  EXPECT_LE(s.folds, static_cast<int>(units.size()));
  EXPECT_NE(s.folds, 1);
  std::vector<int32_t> fold_of(units.size(), -1);
  std::vector<int64_t> rows_of(units.size(), 0), rows_of_certify(certify_units.size(), 0);
  for (size_t i = 0; i < s.learn.size(); ++i) {
    ASSERT_TRUE(s.fold[i] >= 0 && s.fold[i] < std::max(1, s.folds));
    int32_t& fold = fold_of[s.unit[i]];
    if (fold < 0) fold = s.fold[i];
    ASSERT_EQ(fold, s.fold[i]) << "unit " << s.unit[i] << " straddles folds";
    ++rows_of[s.unit[i]];
  }
  for (int32_t u : s.certify_unit) ++rows_of_certify[u];
  for (int64_t r : rows_of) ASSERT_LE(r, s.unit_rows);
  if (s.kind != SplitKind::kGroups) {
    for (int64_t r : rows_of_certify) ASSERT_LE(r, s.unit_rows);
  }
}

TEST(Split, InvariantsOverKindsSizesAndSeeds) {
  for (int64_t n : {1, 2, 3, 10, 19, 20, 21, 100, 399, 400, 997, 5000})
    for (uint64_t seed : {0ull, 1ull, 99ull})
      for (SplitKind kind :
           {SplitKind::kAuto, SplitKind::kRows, SplitKind::kRuns, SplitKind::kTime, SplitKind::kGroups}) {
        SCOPED_TRACE(::testing::Message() << to_string(kind) << " n " << n << " seed " << seed);
        Traces t = traffic(n, 5, 3);
        if (kind == SplitKind::kTime)
          for (int64_t i = 0; i < n; ++i) t.timestamp.push_back(static_cast<double>((i * 7919) % n));
        if (kind == SplitKind::kGroups)
          for (int64_t i = 0; i < n; ++i) t.group.push_back(i % std::max<int64_t>(1, n / 3));
        Split s = must(t, kind, seed);
        check(s, n, 5);
        // Afterwards no certify unit is larger than m.
        const int64_t before = static_cast<int64_t>(s.certify.size());
        const LeftOut left = leave_out_large_units(s);
        check(s, n, 5);
        EXPECT_EQ(static_cast<int64_t>(s.certify.size()) + left.rows, before);
        std::vector<int64_t> size(before, 0);
        for (int32_t u : s.certify_unit) ASSERT_LE(++size[u], s.unit_rows);
      }
}

TEST(Split, NoRowsAtAll) {
  const Traces none = traces_of({}, 0);
  const Split s = must(none, SplitKind::kAuto);
  EXPECT_TRUE(s.learn.empty() && s.certify.empty() && s.unused.empty());
  EXPECT_EQ(s.folds, 0);
}

TEST(Split, ProportionsAreTheOnesAskedFor) {
  const Traces t = traffic(10'000, 7, 1);
  EXPECT_EQ(must(t, SplitKind::kRows).certify.size(), 2500u);
  EXPECT_EQ(must(t, SplitKind::kRows, 0, 0.4).certify.size(), 4000u);
  for (uint64_t seed : {0ull, 5ull}) {
    const Split runs = must(t, SplitKind::kRuns, seed);
    EXPECT_NEAR(static_cast<double>(runs.certify.size()), 2500, 25);
    EXPECT_LE(runs.unused.size(), 20u * 2 * 20);  // 20 stretches, a guard on each side
    std::vector<int> rows_of_fold(runs.folds, 0);
    for (int32_t f : runs.fold) ++rows_of_fold[f];
    for (int rows : rows_of_fold) EXPECT_NEAR(rows, static_cast<double>(runs.learn.size()) / runs.folds, 250);
  }
}

TEST(Split, GuardRowsAreNotLearnedFrom) {
  const Traces t = traffic(4000, 4, 2);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Split s = must(t, SplitKind::kRuns, seed);
    std::vector<uint8_t> certify(4000, 0), unused(4000, 0);
    for (int32_t r : s.certify) certify[r] = 1;
    for (int32_t r : s.unused) unused[r] = 1;
    for (int32_t row = 0; row < 4000; ++row) {
      if (certify[row]) continue;
      bool close = false;
      for (int32_t q = std::max<int32_t>(0, row - kGuardRows); q <= std::min<int32_t>(3999, row + kGuardRows); ++q)
        close |= certify[q] != 0;
      ASSERT_EQ(unused[row] != 0, close) << row;
    }
  }
}

TEST(Split, RunsAreConsecutiveRows) {
  const Split s = must(traffic(3000, 4, 2), SplitKind::kRuns, 4);
  for (size_t i = 1; i < s.learn.size(); ++i)
    if (s.unit[i] == s.unit[i - 1]) {
      EXPECT_EQ(s.learn[i], s.learn[i - 1] + 1);
    }
  EXPECT_EQ(s.unit_rows, kRunRows);
}

TEST(Split, TheMixOfLabelsIsTheTraffics) {
  const int32_t classes = 6;
  const Traces t = traffic(12'000, classes, 8);
  for (SplitKind kind : {SplitKind::kRows, SplitKind::kRuns})
    for (uint64_t seed : {0ull, 3ull}) {
      const Split s = must(t, kind, seed);
      std::vector<double> all(classes, 0), certify(classes, 0);
      for (int32_t l : t.label) all[l] += 1.0 / 12'000;
      for (int32_t r : s.certify) certify[t.label[r]] += 1;
      double chi2 = 0;
      const double rows = static_cast<double>(s.certify.size());
      for (int32_t c = 0; c < classes; ++c) chi2 += std::pow(certify[c] - rows * all[c], 2) / (rows * all[c]);
      EXPECT_TRUE(chi2 < 25.7) << to_string(kind) << " " << chi2;  // 5 degrees of freedom, p = 1e-4
    }
}

TEST(Split, SortedByLabel) {
  const auto blocks = [](int32_t labels, int64_t length, int repeats) {
    std::vector<int32_t> label;
    for (int r = 0; r < repeats; ++r)
      for (int32_t c = 0; c < labels; ++c) label.insert(label.end(), length, c);
    return label;
  };
  struct Row {
    const char* what;
    std::vector<int32_t> label;
    bool sorted;
  };
  for (const Row& r :
       {Row{"none", {}, false}, Row{"one row", {0}, false}, Row{"one label", blocks(1, 500, 1), false},
        Row{"two labels in turn", blocks(2, 1, 250), false}, Row{"two blocks", blocks(2, 250, 1), true},
        Row{"77 blocks", blocks(77, 130, 1), true}, Row{"train then validation", blocks(150, 60, 2), true},
        Row{"blocks of two rows", blocks(50, 2, 1), false}, Row{"many repeats", blocks(3, 20, 40), false},
        Row{"shuffled", traffic(5000, 20, 1).label, false}})
    EXPECT_EQ(sorted_by_label(r.label), r.sorted) << r.what;
}

TEST(Split, AutoChoosesByWhatTheLogIs) {
  EXPECT_EQ(must(traffic(399, 4, 1), SplitKind::kAuto).kind, SplitKind::kRows);
  EXPECT_EQ(must(traffic(400, 4, 1), SplitKind::kAuto).kind, SplitKind::kRuns);
  Traces sorted = traffic(2000, 4, 1);
  std::sort(sorted.label.begin(), sorted.label.end());
  const Split s = must(sorted, SplitKind::kAuto);
  EXPECT_EQ(s.kind, SplitKind::kRows);
  EXPECT_NE(s.reason.find("sorted by label"), std::string::npos);
  Traces grouped = traffic(2000, 4, 1);
  for (int64_t i = 0; i < 2000; ++i) grouped.group.push_back(i / 4);
  EXPECT_EQ(must(grouped, SplitKind::kAuto).kind, SplitKind::kGroups);
}

TEST(Split, GroupsStayWhole) {
  Traces t = traffic(3000, 4, 1);
  Draws draws(4);
  for (int64_t i = 0; i < 3000; ++i) t.group.push_back(i < 400 ? i : draws.below(400));
  const Split s = must(t, SplitKind::kGroups, 2);
  std::vector<int> side(400, -1);
  for (const auto& [rows, number] : {std::pair{&s.learn, 0}, std::pair{&s.certify, 1}})
    for (int32_t r : *rows) {
      int& is = side[t.group[r]];
      if (is < 0) is = number;
      ASSERT_EQ(is, number) << "group " << t.group[r];
    }
  EXPECT_EQ(std::count(side.begin(), side.end(), 1), 100);
}

// The largest group decides m where it is learned from, and is left out where it certifies.
TEST(Split, TheSizeOfCertifyGroupsDecidesNothing) {
  bool learned = false, certified = false;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Traces t = traffic(600, 4, 1);
    for (int64_t i = 0; i < 600; ++i) t.group.push_back(i < 50 ? 0 : 1 + (i - 50) / 3);  // one of 50, the others of 3
    Split s = must(t, SplitKind::kGroups, seed);
    const bool certifies = std::find(s.certify.begin(), s.certify.end(), 0) != s.certify.end();
    EXPECT_EQ(s.unit_rows, certifies ? 3 : 50);
    const LeftOut left = leave_out_large_units(s);
    EXPECT_EQ(left.units, certifies ? 1 : 0);
    EXPECT_EQ(left.rows, certifies ? 50 : 0);
    EXPECT_EQ(static_cast<int64_t>(s.unused.size()), left.rows);
    check(s, 600, 5);
    (certifies ? certified : learned) = true;
  }
  EXPECT_TRUE(learned && certified);
}

TEST(Split, TinyCertifyFractions) {
  for (int64_t n : {1, 3, 400, 5000})
    for (double fraction : {1e-300, 1e-9, 1e-3, 1 - 1e-9}) {
      SCOPED_TRACE(::testing::Message() << n << " rows, " << fraction);
      const Split s = must(traffic(n, 5, 3), SplitKind::kRuns, 1, fraction);
      check(s, n, 5);
      if (fraction < 1e-2) {
        EXPECT_LE(s.certify.size(), 64u);
      }
    }
}

TEST(Split, TheNewestRowsCertify) {
  Traces t = traffic(1000, 4, 1);
  Draws draws(5);
  for (int64_t i = 0; i < 1000; ++i) t.timestamp.push_back(draws.uniform() * 1e6);
  const Split s = must(t, SplitKind::kTime);
  double newest_learned = 0, oldest_certified = 1e9;
  for (int32_t r : s.learn) newest_learned = std::max(newest_learned, t.timestamp[r]);
  for (int32_t r : s.certify) oldest_certified = std::min(oldest_certified, t.timestamp[r]);
  EXPECT_LT(newest_learned, oldest_certified);
  EXPECT_EQ(s.certify.size(), 250u);
  EXPECT_EQ(s.unused.size(), static_cast<size_t>(kGuardRows));
}

TEST(Split, WhatIsMissingIsNamed) {
  Traces t = traffic(100, 4, 1);
  EXPECT_EQ(make_split(t, {SplitKind::kTime, 0.25, 5, 0}).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(make_split(t, {SplitKind::kGroups, 0.25, 5, 0}).status().code(), ErrorCode::kBadInput);
  t.timestamp.assign(100, 1.0);
  t.timestamp[41] = NAN;
  const auto status = make_split(t, {SplitKind::kTime, 0.25, 5, 0}).status();
  EXPECT_EQ(status.code(), ErrorCode::kBadInput);
  EXPECT_NE(status.message().find("line 42"), std::string::npos) << status.message();
}

TEST(Split, OneSeedOneSplit) {
  const Traces t = traffic(2000, 4, 1);
  for (SplitKind kind : {SplitKind::kRows, SplitKind::kRuns}) {
    const Split a = must(t, kind, 7), b = must(t, kind, 7), c = must(t, kind, 8);
    EXPECT_EQ(a.learn, b.learn);
    EXPECT_EQ(a.fold, b.fold);
    EXPECT_EQ(a.certify_unit, b.certify_unit);
    EXPECT_NE(a.certify, c.certify);
  }
}

}  // namespace
}  // namespace tracer
