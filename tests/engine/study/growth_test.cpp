#include "engine/study/growth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;

std::vector<int32_t> sorted(std::vector<int32_t> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

struct Log {
  Traces traces;
  Matrix<float> x;
};

Log log_of(int64_t rows, double noise, bool groups = false) {
  auto made = clusters(rows, 4, 8, noise, 0.02, 11);
  Log log;
  log.traces.labels = {"a", "b", "c", "d"};
  log.traces.label = made.label;
  for (int64_t i = 0; i < rows; ++i) {
    log.traces.text_hash.push_back(static_cast<uint64_t>(i));
    log.traces.line.push_back(i + 1);
    if (groups) log.traces.group.push_back(i / 7);
  }
  log.x = std::move(made.x);
  return log;
}

TEST(Growth, PartsAreNestedWholeUnitsWithFoldsOfTheirOwn) {
  for (const SplitKind kind : {SplitKind::kRows, SplitKind::kRuns, SplitKind::kGroups}) {
    const Log log = log_of(2100, 1, kind == SplitKind::kGroups);
    SplitOptions options;
    options.kind = kind;
    const auto split = make_split(log.traces, options);
    ASSERT_TRUE(split.ok());
    for (uint64_t draw = 0; draw < 3; ++draw) {
      std::vector<int32_t> learn, certify;
      for (const double share : {0.125, 0.25, 0.5, 1.0}) {
        const Split part = share_of(*split, share, draw);
        EXPECT_TRUE(std::includes(part.learn.begin(), part.learn.end(), learn.begin(), learn.end()));
        EXPECT_TRUE(std::includes(part.certify.begin(), part.certify.end(), certify.begin(), certify.end()));
        learn = part.learn, certify = part.certify;
        EXPECT_TRUE(std::includes(split->learn.begin(), split->learn.end(), learn.begin(), learn.end()));
        EXPECT_TRUE(std::includes(split->certify.begin(), split->certify.end(), certify.begin(), certify.end()));
        EXPECT_NEAR(static_cast<double>(count_units(part.unit)), share * static_cast<double>(count_units(split->unit)),
                    1);
        std::vector<int32_t> all = part.unused;
        all.insert(all.end(), learn.begin(), learn.end());
        all.insert(all.end(), certify.begin(), certify.end());
        all = sorted(all);
        std::vector<int32_t> every(2100);
        std::iota(every.begin(), every.end(), 0);
        EXPECT_EQ(all, every);
        // A unit of the part is one of the split, whole and in one fold.
        std::vector<std::set<int32_t>> folds(static_cast<size_t>(count_units(part.unit)));
        std::vector<int64_t> rows(folds.size()), before(static_cast<size_t>(count_units(split->unit)));
        for (const int32_t u : split->unit) ++before[static_cast<size_t>(u)];
        for (size_t i = 0; i < learn.size(); ++i) {
          folds[static_cast<size_t>(part.unit[i])].insert(part.fold[i]);
          ++rows[static_cast<size_t>(part.unit[i])];
        }
        for (size_t i = 0; i < learn.size(); ++i) {
          const auto at = std::lower_bound(split->learn.begin(), split->learn.end(), learn[i]) - split->learn.begin();
          EXPECT_EQ(rows[static_cast<size_t>(part.unit[i])],
                    before[static_cast<size_t>(split->unit[static_cast<size_t>(at)])]);
        }
        std::set<int32_t> used;
        for (const auto& f : folds) {
          ASSERT_EQ(f.size(), 1u);
          used.insert(*f.begin());
        }
        EXPECT_EQ(static_cast<int>(used.size()), part.folds);
        if (kind == SplitKind::kGroups) {
          EXPECT_EQ(part.unit_rows, *std::max_element(rows.begin(), rows.end()));
        }
      }
    }
    EXPECT_NE(share_of(*split, 0.25, 0).learn, share_of(*split, 0.25, 1).learn);
  }
}

// Rows that a part leaves out have no part in its policy: other vectors and labels there change nothing.
TEST(Growth, WhatIsLeftOutIsNotLearnedFrom) {
  Log log = log_of(1600, 1.2);
  const auto split = make_split(log.traces, {});
  ASSERT_TRUE(split.ok());
  auto backend = cpu(1);
  ASSERT_TRUE(backend->normalise_rows(log.x.view()).ok());
  auto fresh = clusters(300, 4, 8, 1.2, 0.02, 11);
  FitOptions options;
  options.alpha = 0.8;
  options.sweep = {};
  const auto one = growth_fit(*backend, log.traces, log.x, *split, 0.5, 3, options, fresh.x.view());
  ASSERT_TRUE(one.ok()) << one.status().message();
  EXPECT_TRUE(one->certified);
  EXPECT_GT(std::count(one->handled.begin(), one->handled.end(), 1), 0);
  for (const int32_t row : share_of(*split, 0.5, 3).unused) {
    log.traces.label[row] = (log.traces.label[row] + 1) % 4;
    for (int64_t j = 0; j < 8; ++j) log.x(row, j) = j == row % 8 ? 1.0f : 0.0f;
  }
  const auto two = growth_fit(*backend, log.traces, log.x, *split, 0.5, 3, options, fresh.x.view());
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(one->handled, two->handled);
  EXPECT_EQ(one->answer, two->answer);
  const auto larger = growth_fit(*backend, log.traces, log.x, *split, 1, 3, options, fresh.x.view());
  ASSERT_TRUE(larger.ok());
  EXPECT_NE(one->handled, larger->handled);  // there it is
}

TEST(Growth, ARefusalHandlesNothing) {
  const Log log = log_of(400, 4);
  const auto split = make_split(log.traces, {});
  ASSERT_TRUE(split.ok());
  auto backend = cpu(1);
  FitOptions options;
  options.alpha = 0.99;
  const auto fit = growth_fit(*backend, log.traces, log.x, *split, 0.25, 0, options, log.x.view());
  ASSERT_TRUE(fit.ok()) << fit.status().message();
  EXPECT_FALSE(fit->certified);
  EXPECT_EQ(std::count(fit->handled.begin(), fit->handled.end(), 0), 400);
}

}  // namespace
}  // namespace tracer
