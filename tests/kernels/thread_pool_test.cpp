#include "kernels/cpu/thread_pool.h"

#include <atomic>

#include "kernels/cpu/scratch.h"
#include "tests/kernels/support.h"

namespace tracer {
namespace {

TEST(ThreadPool, EveryIndexRunsOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    cpu::ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t count : {0, 1, 2, 3, 7, 1000}) {
      std::vector<int> calls(static_cast<size_t>(count), 0);  // not atomic: the sanitizer sees two writers
      cpu::run(pool, count, [&](int64_t i, int worker) {
        ++calls[static_cast<size_t>(i)];
        ASSERT_GE(worker, 0);
        ASSERT_LT(worker, threads);
      });
      for (const int c : calls) ASSERT_EQ(c, 1);
    }
  }
}

TEST(ThreadPool, AWorkerNumberIsNeverSharedAtOnce) {
  cpu::ThreadPool pool(4);
  std::vector<int64_t> sum(4, 0);  // plain counters, one for each number: a race would show under the sanitizer
  for (int round = 0; round < 200; ++round) {
    cpu::run(pool, 37, [&](int64_t i, int worker) { sum[static_cast<size_t>(worker)] += i; });
  }
  EXPECT_EQ(sum[0] + sum[1] + sum[2] + sum[3], 200 * 37 * 36 / 2);
}

TEST(ThreadPool, NestedLoopsRunInline) {
  cpu::ThreadPool pool(3);
  std::atomic<int64_t> calls{0};
  cpu::run(pool, 10, [&](int64_t, int) {
    const std::thread::id outer = std::this_thread::get_id();
    cpu::run(pool, 10, [&](int64_t, int worker) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      EXPECT_EQ(worker, 0);
      ++calls;
    });
  });
  EXPECT_EQ(calls, 100);
}

TEST(ThreadPool, CallsFromSeveralThreadsTakeTurns) {
  cpu::ThreadPool pool(2);
  std::atomic<int64_t> calls{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) cpu::run(pool, 5, [&](int64_t, int) { ++calls; });
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(calls, 3 * 50 * 5);
}

TEST(ScratchPool, ReusesWhatFits) {
  cpu::ScratchPool pool;
  float* first = nullptr;
  {
    cpu::Scratch a = pool.take(1000);
    first = a.data();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
    const cpu::Scratch b = pool.take(1000);
    EXPECT_NE(a.data(), b.data());
  }
  const cpu::Scratch c = pool.take(int64_t{3} << 20);
  EXPECT_NE(c.data(), nullptr);
  for (int i = 0; i < 100; ++i) pool.take(1000 + i * 5000);
}

TEST(Backend, OperationsInsideItsOwnLoopAreSafe) {
  const std::unique_ptr<Backend> backend = test::make(test::isas().front(), 3);
  const Matrix<float> a = test::uniform(50, 60, 1), b = test::uniform(60, 40, 2);
  Matrix<float> expected(50, 40);
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, expected.view()));
  std::vector<Matrix<float>> c;
  for (int i = 0; i < 12; ++i) c.emplace_back(50, 40);
  parallel_for(*backend, 12, [&](int64_t i) {
    EXPECT_TRUE(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {}, c[static_cast<size_t>(i)].view()).ok());
  });
  for (const Matrix<float>& m : c) EXPECT_TRUE(test::same_bytes(m, expected));
}

}  // namespace
}  // namespace tracer
