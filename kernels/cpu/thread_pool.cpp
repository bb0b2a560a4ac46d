#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace tracer::cpu {
namespace {

constexpr std::chrono::microseconds kSpin{50};

thread_local bool inside_loop = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Loops follow each other closely: waiting a little for the next is cheaper than sleep and a wake-up. Bounded, because
// other threads may want the processor.
template <class Done>
void spin(Done done) {
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < until);
}

}  // namespace

int available_processors() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(std::max(threads, 1) - 1));
  try {
    for (int w = 1; w < threads; ++w) workers_.emplace_back([this, w] { work(w); });
  } catch (const std::system_error&) {  // out of threads: those that exist do the work
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::drain(const Job& job, int worker) {
  inside_loop = true;
  for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < job.count;) job.body(job.context, i, worker);
  inside_loop = false;
}

void ThreadPool::run(int64_t count, Body body, void* context) {
  if (count <= 0) return;
  if (inside_loop) {
    for (int64_t i = 0; i < count; ++i) body(context, i, 0);
    return;
  }
  std::lock_guard turn(caller_mutex_);
  const Job job{body, context, count};
  next_.store(0, std::memory_order_relaxed);
  if (workers_.empty() || count == 1) {
    drain(job, 0);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    job_ = job;
    running_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  started_.notify_all();
  drain(job, 0);
  spin([this] { return running_.load(std::memory_order_acquire) == 0; });
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return running_ == 0; });
}

void ThreadPool::work(int worker) {
  uint64_t seen = 0;
  for (;;) {
    Job job;
    spin([&] { return generation_.load(std::memory_order_acquire) != seen; });
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      job = job_;
    }
    drain(job, worker);
    std::lock_guard lock(mutex_);
    if (--running_ == 0) finished_.notify_one();
  }
}

}  // namespace tracer::cpu
