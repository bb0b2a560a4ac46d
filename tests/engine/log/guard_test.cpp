#include "engine/log/guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
  Traces traces;
};

Log log_of(Matrix<float> x, std::vector<int32_t> label, int32_t labels) {
  Log log{std::move(x), {}};
  for (int32_t c = 0; c < labels; ++c) log.traces.labels.push_back("label" + std::to_string(c));
  log.traces.label = std::move(label);
  for (size_t i = 0; i < log.traces.label.size(); ++i) log.traces.line.push_back(static_cast<int64_t>(i) + 1);
  return log;
}

Log unrelated(int64_t n, uint64_t seed) {
  auto c = clusters(n, 12, 16, 0.7, 0.1, seed);
  return log_of(std::move(c.x), std::move(c.label), 12);
}

// A share of the rows are near-copies, label and all, of a row at most 10 places before them.
Log retried(int64_t n, double share, uint64_t seed) {
  Log log = unrelated(n, seed);
  Draws draws(seed + 1000);
  for (int64_t i = 10; i < n; ++i) {
    if (draws.uniform() >= share) continue;
    const int64_t of = i - 1 - static_cast<int64_t>(draws.below(10));
    for (int64_t j = 0; j < log.x.cols(); ++j) log.x(i, j) = log.x(of, j) + static_cast<float>(0.02 * draws.normal());
    log.traces.label[static_cast<size_t>(i)] = log.traces.label[static_cast<size_t>(of)];
  }
  EXPECT_TRUE(cpu()->normalise_rows(log.x.view()).ok());
  return log;
}

std::vector<int32_t> all_rows(const Log& log) {
  std::vector<int32_t> rows(log.traces.label.size());
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

OrderCheck check(const Log& log, const std::vector<int32_t>& rows, uint64_t seed = 0, int threads = 1) {
  const auto found = check_order(*cpu(threads), log.x.view(), log.traces.label, rows, seed);
  EXPECT_TRUE(found.ok());
  return *found;
}

Split draw(const Log& log, const SplitOptions& options) {
  auto split = draw_split(*cpu(), log.traces, log.x.view(), options);
  EXPECT_TRUE(split.ok());
  return std::move(split).value();
}

TEST(Guard, SharesAreThoseOfTheDefinition) {
  const Log log = retried(500, 0.2, 3);
  std::vector<int32_t> rows;  // with gaps
  for (int32_t i = 0; i < 500; ++i)
    if (i % 120 < 90) rows.push_back(i);
  double near = 0, same = 0, pairs = 0;
  for (int32_t i : rows) {
    double best = -2;
    int32_t nearest = -1;
    for (int32_t j : rows) {
      double s = 0;
      for (int64_t k = 0; k < log.x.cols(); ++k)
        s += static_cast<double>(log.x(i, k)) * static_cast<double>(log.x(j, k));
      if (j != i && s > best) best = s, nearest = j;
      if (j <= i || j - i > kGuardRows) continue;
      ++pairs;
      same += log.traces.label[static_cast<size_t>(i)] == log.traces.label[static_cast<size_t>(j)];
    }
    near += std::abs(nearest - i) <= kGuardRows;
  }
  const OrderCheck c = check(log, rows);
  EXPECT_EQ(c.rows, static_cast<int64_t>(rows.size()));
  EXPECT_NEAR(c.near_share, near / static_cast<double>(rows.size()), 1e-12);
  EXPECT_NEAR(c.label_share, same / pairs, 1e-12);
  // Any two of the rows stand that close by chance.
  EXPECT_NEAR(c.near_chance, 2 * pairs / static_cast<double>(rows.size() * (rows.size() - 1)), 0.005);
  EXPECT_GT(c.near_share, c.near_chance + 0.1);
}

// Each sign is called at 5 % of unrelated logs: of 300, more than 46 would be seen once in 1,000 at a rate of 10 %.
TEST(Guard, UnrelatedRowsSeldomLookRelated) {
  int related = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Log log = unrelated(375, seed);
    related += check(log, all_rows(log), seed).related();
  }
  std::cout << related << " of 300 unrelated logs keep their guard\n";
  EXPECT_LE(related, 46);
  EXPECT_GE(related, 5) << "of a test that finds nothing";
}

TEST(Guard, RelativesAreSeen) {
  const struct {
    int64_t rows;
    double share;
    int least;  // of 100 logs
  } cases[] = {{375, 0.05, 50}, {375, 0.1, 95}, {375, 0.3, 100}, {1500, 0.03, 80}, {1500, 0.05, 95}};
  for (const auto& c : cases) {
    int related = 0;
    for (uint64_t seed = 1; seed <= 100; ++seed) {
      const Log log = retried(c.rows, c.share, seed);
      related += check(log, all_rows(log), seed).related();
    }
    std::cout << c.rows << " rows, " << c.share << " of them retries: seen in " << related << " of 100\n";
    EXPECT_GE(related, c.least) << c.rows << " " << c.share;
  }
}

TEST(Guard, BurstsOfALabelAreSeenAndDriftIsNot) {
  Log log = unrelated(2000, 5);
  Draws draws(6);
  for (size_t i = 1; i < log.traces.label.size(); ++i)
    if (draws.uniform() < 0.3) log.traces.label[i] = log.traces.label[i - 1];
  const OrderCheck bursts = check(log, all_rows(log));
  EXPECT_LE(bursts.label_p, 0.01);
  EXPECT_TRUE(bursts.related());
  OrderCheck drift;
  drift.rows = 8000, drift.label_p = 0.005, drift.label_share = 0.168, drift.label_chance = 0.165;
  EXPECT_FALSE(drift.related());
  drift.near_p = 0.05;
  EXPECT_TRUE(drift.related());
}

TEST(Guard, WithoutRelativesNothingIsLeftOut) {
  int dropped = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Log log = unrelated(600, seed);
    SplitOptions options;
    options.seed = seed;
    const Split guarded = *make_split(log.traces, options), split = draw(log, options);
    ASSERT_EQ(split.certify, guarded.certify);
    ASSERT_EQ(split.kind, SplitKind::kRuns);
    EXPECT_GT(split.reason.size(), guarded.reason.size());
    if (!split.unused.empty()) {
      EXPECT_EQ(split.learn, guarded.learn);
      continue;
    }
    ++dropped;
    std::vector<int32_t> outside;
    std::merge(guarded.learn.begin(), guarded.learn.end(), guarded.unused.begin(), guarded.unused.end(),
               std::back_inserter(outside));
    EXPECT_EQ(split.learn, outside);
    EXPECT_EQ(split.fold.size(), split.learn.size());
    EXPECT_EQ(split.unit.size(), split.learn.size());
    EXPECT_NE(split.reason.find("learned from too"), std::string::npos) << split.reason;
  }
  EXPECT_GE(dropped, 14);
}

TEST(Guard, RelatedRowsAndAnExplicitSplitKeepIt) {
  const Log log = retried(800, 0.4, 1);
  const Split related = draw(log, {});
  EXPECT_FALSE(related.unused.empty());
  EXPECT_NE(related.reason.find("have their nearest within 20 places"), std::string::npos) << related.reason;
  SplitOptions asked;
  asked.kind = SplitKind::kRuns;
  EXPECT_FALSE(draw(unrelated(800, 1), asked).unused.empty());
  asked.kind = SplitKind::kTime;
  EXPECT_FALSE(draw_split(*cpu(), log.traces, log.x.view(), asked).ok()) << "no time stamps";
}

// What certify rows hold has no part in it.
TEST(Guard, CertifyRowsAreNotLookedAt) {
  for (const double share : {0.0, 0.05}) {
    Log log = share > 0 ? retried(900, share, 2) : unrelated(900, 2);
    const Split before = draw(log, {});
    for (int32_t r : before.certify) {
      log.traces.label[static_cast<size_t>(r)] = 0;
      for (int64_t j = 0; j < log.x.cols(); ++j) log.x(r, j) = j == 0 ? 1.0f : 0.0f;
    }
    const Split after = draw(log, {});
    EXPECT_EQ(after.learn, before.learn);
    EXPECT_EQ(after.certify, before.certify);
    EXPECT_EQ(after.reason, before.reason);
  }
}

TEST(Guard, FewRowsKeepItAndThreadsDoNotMatter) {
  for (int64_t n : {0, 1, 2, 50, 199}) {
    const Log log = unrelated(n, 1);
    EXPECT_TRUE(check(log, all_rows(log)).related()) << n;
  }
  const Log copies = log_of(Matrix<float>(300, 4), std::vector<int32_t>(300, 0), 1);
  const OrderCheck c = check(copies, all_rows(copies));
  EXPECT_TRUE(c.near_p > 0 && c.near_p <= 1);
  EXPECT_EQ(c.label_share, 1);
  EXPECT_FALSE(c.bursts());
  const Log log = retried(3000, 0.02, 4);
  const OrderCheck one = check(log, all_rows(log), 7, 1), two = check(log, all_rows(log), 7, 2);
  EXPECT_EQ(one.rows, 3000);
  EXPECT_EQ(one.near_share, two.near_share);
  EXPECT_EQ(one.near_p, two.near_p);
  EXPECT_EQ(one.label_p, two.label_p);
}

}  // namespace
}  // namespace tracer
