// A few persistent workers that share out the indices of one loop at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace tracer::cpu {

// Processors that this process may run on (at least 1).
int available_processors();

class ThreadPool {
 public:
  // The calling thread counts as one: threads - 1 workers are started, fewer where the system refuses them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  using Body = void (*)(void* context, int64_t i, int worker);

  // Calls body(context, i, worker) once for each i in [0, count), in any order; worker is in [0, threads()) and no two
  // bodies run at once under the same number. Returns when all are done. Called from inside a body, it runs inline as
  // worker 0. The body must not throw. Any thread may call; calls from several threads take turns.
  void run(int64_t count, Body body, void* context);

 private:
  struct Job {
    Body body = nullptr;
    void* context = nullptr;
    int64_t count = 0;
  };

  void work(int worker);
  void drain(const Job& job, int worker);

  // Self-synchronised.
  std::mutex caller_mutex_;  // held for the whole of run(): one loop at a time
  std::atomic<int64_t> next_{0};

  // Protected by mutex_.
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  Job job_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> running_{0};
  bool stopping_ = false;

  // Constant after construction.
  std::vector<std::thread> workers_;
};

// run() for any callable f(i, worker).
template <class F>
void run(ThreadPool& pool, int64_t count, F&& f) {
  using Fn = std::remove_reference_t<F>;
  pool.run(
      count, [](void* c, int64_t i, int worker) { (*static_cast<Fn*>(c))(i, worker); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace tracer::cpu
