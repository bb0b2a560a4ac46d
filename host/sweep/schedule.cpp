#include "host/sweep/schedule.h"

#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace tracer {
namespace {

class Schedule {
 public:
  Schedule(const std::vector<SweepTask>& tasks, const std::function<Result<SweepRun>(Backend&, const SweepTask&)>& fit,
           const std::function<Status(size_t task, SweepRun run)>& finished)
      : tasks_(tasks), fit_(fit), finished_(finished) {}

  void work(Backend& backend) {
    for (size_t task = next(); task < tasks_.size(); task = next()) {
      Status ended;
      try {
        auto run = fit_(backend, tasks_[task]);
        const std::lock_guard lock(mutex_);
        ended = run.ok() ? finished_(task, std::move(run).value()) : run.status();
      } catch (const std::bad_alloc&) {
        ended = out_of_memory("fitting one of several logs at a time");
      }
      if (!ended.ok()) fail(task, std::move(ended));
    }
  }

  void fail(size_t task, Status status) {
    const std::lock_guard lock(mutex_);
    if (failed_.ok() || task < failed_task_) failed_ = std::move(status), failed_task_ = task;
  }

  const Status& failed() const { return failed_; }  // once all have ended

 private:
  size_t next() {
    const std::lock_guard lock(mutex_);
    return failed_.ok() ? next_++ : tasks_.size();
  }

  const std::vector<SweepTask>& tasks_;
  const std::function<Result<SweepRun>(Backend&, const SweepTask&)>& fit_;
  const std::function<Status(size_t, SweepRun)>& finished_;
  std::mutex mutex_;  // of what follows, and of finished_
  size_t next_ = 0, failed_task_ = 0;
  Status failed_;
};

}  // namespace

Status run_tasks(const Workers& workers, const std::vector<SweepTask>& tasks,
                 const std::function<Result<SweepRun>(Backend&, const SweepTask&)>& fit,
                 const std::function<Status(size_t task, SweepRun run)>& finished) {
  Schedule schedule(tasks, fit, finished);
  const auto other = [&](int n) {
    try {
      auto backend = workers.make(n);
      if (backend.ok())
        schedule.work(**backend);
      else
        schedule.fail(0, backend.status());
    } catch (const std::bad_alloc&) {
      schedule.fail(0, out_of_memory("a backend for each fit"));
    }
  };
  std::vector<std::jthread> others;
  try {
    for (int n = 1; n < workers.count && static_cast<size_t>(n) < tasks.size(); ++n) others.emplace_back(other, n);
  } catch (const std::system_error&) {
    schedule.fail(0, out_of_memory("a thread for each fit"));
  } catch (const std::bad_alloc&) {
    schedule.fail(0, out_of_memory("a thread for each fit"));
  }
  schedule.work(workers.first);
  others.clear();  // joins
  return schedule.failed();
}

}  // namespace tracer
