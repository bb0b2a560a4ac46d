#include "engine/study/sweep.h"

#include <algorithm>
#include <numeric>
#include <thread>

#include "engine/log/subsample.h"
#include "engine/prove/figures.h"
#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::traces_of;

bool inside(const std::vector<int32_t>& small, const std::vector<int32_t>& large) {
  return std::includes(large.begin(), large.end(), small.begin(), small.end());
}

TEST(Subsample, IsNestedOfTheSizeAskedForAndOfWholeRuns) {
  const Traces log = traces_of(std::vector<int32_t>(5000, 0), 1);
  for (const SplitKind kind : {SplitKind::kRows, SplitKind::kRuns}) {
    std::vector<int32_t> before;
    for (const int64_t n : {0, 1, 19, 500, 1000, 4999, 5000, 9000}) {
      const auto rows = subsample(log, kind, n, 3);
      EXPECT_EQ(static_cast<int64_t>(rows.size()), std::min<int64_t>(n, 5000));
      EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
      EXPECT_TRUE(inside(before, rows)) << n;
      before = rows;
    }
  }
  const auto rows = subsample(log, SplitKind::kRuns, 1000, 3);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i] % kRunRows, static_cast<int64_t>(i) % kRunRows);
  EXPECT_NE(rows, subsample(log, SplitKind::kRuns, 1000, 4));
  EXPECT_GT(subsample(log, SplitKind::kRows, 100, 1).back(), 4000) << "drawn all over the log";
}

TEST(Subsample, KeepsGroupsWholeAndTimesInOrder) {
  Traces log = traces_of(std::vector<int32_t>(1000, 0), 1);
  for (int64_t i = 0; i < 1000; ++i) log.group.push_back(i % 70), log.timestamp.push_back(static_cast<double>(-i));
  const auto rows = subsample(log, SplitKind::kGroups, 300, 5);
  EXPECT_GE(rows.size(), 300u);
  EXPECT_LT(rows.size(), 316u);
  const Traces part = take_rows(log, rows);
  std::vector<int64_t> size(*std::max_element(part.group.begin(), part.group.end()) + 1);
  for (int64_t g : part.group) ++size[g];
  for (int64_t s : size) EXPECT_GE(s, 14) << "a group was cut, or its number is not used";
  EXPECT_EQ(part.labels, log.labels);
  EXPECT_EQ(part.line[1], rows[1] + 1);
  const auto timed = subsample(log, SplitKind::kTime, 40, 5);
  for (size_t i = 0; i < timed.size(); ++i) EXPECT_EQ(timed[i] / kRunRows, timed[i / kRunRows * kRunRows] / kRunRows);
}

TEST(Sweep, TheWholeLogIsWhatFitMakesOfIt) {
  const auto log = clusters(1600, 4, 16, 1.5, 0.05, 1), fresh = clusters(1000, 4, 16, 1.5, 0.05, 1);
  const Traces traces = traces_of(log.label, 4);
  FitOptions options;
  options.sweep = {0.8, 0.9};
  options.alpha = 0.9;
  options.split.seed = 3;
  const auto backend = testing::cpu();
  FreshRows rows{fresh.x.clone(), fresh.label};
  const auto run = sweep_run(*backend, traces, log.x, &rows, 1600, options);
  ASSERT_TRUE(run.ok()) << run.status().message();
  const auto fitted = fit(*backend, traces, log.x.clone(), options);
  ASSERT_TRUE(fitted.ok());
  ASSERT_EQ(run->points.size(), 2u);
  for (size_t a = 0; a < 2; ++a) {
    const Certificate& c = fitted->policy.certificates[a];
    const SweepPoint& p = run->points[a];
    EXPECT_TRUE(p.certified);
    EXPECT_EQ(p.threshold, c.threshold);
    EXPECT_EQ(p.n_handled, c.n_handled);
    EXPECT_EQ(p.coverage(), *coverage(c));
    EXPECT_EQ(run->fresh_rows, 1000);
    EXPECT_GT(p.fresh_agree, 0);
    EXPECT_EQ(run->coverage(p), static_cast<double>(p.fresh_handled) / 1000);
  }
}

TEST(Sweep, ASmallPartOfASortedLogIsStillSplitByRows) {
  auto log = clusters(4000, 40, 64, 1.0, 0.0, 2);
  std::vector<int32_t> order(4000);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return log.label[a] < log.label[b]; });
  Matrix<float> x(4000, 64);
  std::vector<int32_t> label;
  for (size_t i = 0; i < order.size(); ++i) {
    std::copy_n(log.x.row(order[i]), 64, x.row(static_cast<int64_t>(i)));
    label.push_back(log.label[order[i]]);
  }
  const Traces traces = traces_of(label, 40);
  ASSERT_TRUE(sorted_by_label(traces.label));
  FitOptions options;
  options.sweep = {0.8};
  options.alpha = 0.8;
  const auto run = sweep_run(*testing::cpu(), traces, x, nullptr, 410, options);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->rows, 410);
  EXPECT_EQ(run->points[0].n_learn + run->points[0].n_certify, 410) << "runs would have left guard rows out";
}

// As host/sweep/schedule.h has it; the thread sanitizer looks on.
TEST(Sweep, FitsAtTheSameTimeOnBackendsOfTheirOwnAreTheSame) {
  const auto log = clusters(1200, 4, 16, 1.4, 0.05, 4);
  const Traces traces = traces_of(log.label, 4);
  const FreshRows fresh{log.x.clone(), log.label};
  const auto run = [&](uint64_t seed) {
    FitOptions options;
    options.alpha = 0.9, options.sweep = {0.9}, options.choices.residual = true;
    options.split.seed = seed;
    const auto backend = testing::cpu(2);
    auto made = sweep_run(*backend, traces, log.x, &fresh, 800, options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(made).value() : SweepRun();
  };
  const SweepRun alone[] = {run(0), run(1)};
  SweepRun together[2];
  {
    std::jthread other([&] { together[1] = run(1); });
    together[0] = run(0);
  }
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(together[i].points.size(), 1u);
    EXPECT_EQ(together[i].points[0].threshold, alone[i].points[0].threshold);
    EXPECT_EQ(together[i].points[0].fresh_agree, alone[i].points[0].fresh_agree);
    EXPECT_EQ(together[i].points[0].n_handled, alone[i].points[0].n_handled);
  }
}

TEST(Sweep, ARefusalHandlesNothing) {
  const auto log = clusters(40, 2, 8, 1.0, 0.5, 1);
  FitOptions options;
  options.sweep = {0.99};
  options.alpha = 0.99;
  FreshRows fresh{log.x.clone(), log.label};
  for (const int64_t n : {1, 3, 40}) {
    const auto run = sweep_run(*testing::cpu(), traces_of(log.label, 2), log.x, &fresh, n, options);
    ASSERT_TRUE(run.ok()) << run.status().message();
    EXPECT_FALSE(run->points[0].certified);
    EXPECT_EQ(run->coverage(run->points[0]), 0);
    EXPECT_FALSE(run->agreement(run->points[0]));
  }
}

}  // namespace
}  // namespace tracer
