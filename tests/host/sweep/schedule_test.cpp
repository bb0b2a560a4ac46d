// The fits of a sweep on several backends.
#include "host/sweep/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

namespace tracer {
namespace {

std::unique_ptr<Backend> one_thread() {
  auto made = make_backend({"cpu", 1, ""});
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

std::vector<SweepTask> tasks_of(size_t n) {
  std::vector<SweepTask> tasks;
  for (size_t i = 0; i < n; ++i) tasks.push_back({static_cast<int64_t>(100 + i), i});
  return tasks;
}

Result<SweepRun> fitted(const SweepTask& task) {
  SweepRun run;
  run.traces = task.traces, run.seed = task.seed;
  return run;
}

TEST(SweepSchedule, EveryTaskIsFittedOnceWhateverTheNumberOfWorkers) {
  for (const size_t n : {0u, 1u, 7u, 40u})
    for (const int count : {1, 2, 5}) {
      const auto first = one_thread();
      std::atomic<int> made{0}, under_way{0}, most{0};
      std::vector<int> seen(n, 0);
      std::set<Backend*> used;
      const auto tasks = tasks_of(n);
      const Status status = run_tasks(
          {*first, count,
           [&](int) -> Result<std::unique_ptr<Backend>> {
             ++made;
             return one_thread();
           }},
          tasks,
          [&](Backend&, const SweepTask& task) {
            const int now = ++under_way;
            for (int before = most; before < now && !most.compare_exchange_weak(before, now);) continue;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            --under_way;
            return fitted(task);
          },
          [&](size_t at, SweepRun run) -> Status {
            ++seen[at];
            EXPECT_EQ(run.traces, tasks[at].traces);
            EXPECT_EQ(run.seed, tasks[at].seed);
            return {};
          });
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(seen, std::vector<int>(n, 1));
      EXPECT_EQ(made, std::max(0, std::min(count, static_cast<int>(n)) - 1));
      EXPECT_LE(most, count);
    }
}

TEST(SweepSchedule, TheEarliestFailureStopsTheRest) {
  const auto first = one_thread();
  std::atomic<int> begun{0};
  std::atomic<bool> fifth_failed{false};
  const Status status = run_tasks(
      {*first, 2, [](int) -> Result<std::unique_ptr<Backend>> { return one_thread(); }}, tasks_of(50),
      [&](Backend&, const SweepTask& task) -> Result<SweepRun> {
        ++begun;
        if (task.seed == 5) {
          fifth_failed = true;
          return bad_input("fifth");
        }
        if (task.seed == 4) {  // ends later, and is earlier
          while (!fifth_failed) std::this_thread::yield();
          return bad_input("fourth");
        }
        return fitted(task);
      },
      [](size_t, SweepRun) { return Status(); });
  EXPECT_EQ(status.message(), "fourth");
  EXPECT_LT(begun, 50);
}

TEST(SweepSchedule, WhatCannotBeKeptOrMadeIsAFailure) {
  const auto first = one_thread();
  const auto make = [](int) -> Result<std::unique_ptr<Backend>> { return one_thread(); };
  const auto fit = [](Backend&, const SweepTask& task) { return fitted(task); };
  int kept = 0;
  const Status full = run_tasks({*first, 1, make}, tasks_of(9), fit,
                                [&](size_t, SweepRun) { return ++kept == 3 ? io_error("disk full") : Status(); });
  EXPECT_EQ(full.message(), "disk full");
  EXPECT_EQ(kept, 3);
  const Status none = run_tasks(
      {*first, 2, [](int n) -> Result<std::unique_ptr<Backend>> { return device_error("no " + std::to_string(n)); }},
      tasks_of(2000), fit, [](size_t, SweepRun) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return Status();
      });
  EXPECT_EQ(none.code(), ErrorCode::kDevice);
  EXPECT_EQ(none.message(), "no 1");
  const Status memory = run_tasks(
      {*first, 1, make}, tasks_of(3), [](Backend&, const SweepTask&) -> Result<SweepRun> { throw std::bad_alloc(); },
      [](size_t, SweepRun) { return Status(); });
  EXPECT_EQ(memory.code(), ErrorCode::kOutOfMemory);
}

}  // namespace
}  // namespace tracer
