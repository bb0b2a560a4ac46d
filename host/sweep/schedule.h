// The fits of a sweep, several at a time: one to each backend.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/study/sweep.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer {

struct SweepTask {
  int64_t traces = 0;
  uint64_t seed = 0;
};

// The backends of a sweep: one that is there, and how to make the others.
struct Workers {
  Backend& first;
  int count = 1;  // with the first
  // The n-th other, from 1. It is made on the thread that uses it: a GPU is current to a thread.
  std::function<Result<std::unique_ptr<Backend>>(int n)> make;
};

// Each backend, on a thread of its own (the first on the caller's), takes the next task until there is none. No more
// are made than there are tasks; one that cannot be made is a failure. fit: of one task; from several threads at once,
// each with its backend. finished: with the task's index, in the order in which fits end; never from two threads at
// once. Once either fails no further fit starts; those under way end, and are reported. The result is the failure of
// the earliest of the tasks that failed. A fit does not hang on the backend it ran on where they are of one kind, so
// that neither do the results. kOutOfMemory also where a thread cannot be had.
Status run_tasks(const Workers& workers, const std::vector<SweepTask>& tasks,
                 const std::function<Result<SweepRun>(Backend&, const SweepTask&)>& fit,
                 const std::function<Status(size_t task, SweepRun run)>& finished);

}  // namespace tracer
