// Each defect that the harness is there to find, planted; and sound kernels that it must not accuse.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <vector>

#include "tests/simt/device.h"

namespace tracer::simt {
namespace {

using device::Buffer;
using device::Global;
using device::thread_index;

class Harness : public ::testing::TestWithParam<Order> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer cannot follow the harness's fibers; they all run on one thread anyway";
#endif
  }
  // Exactly this kind of defect.
  static void expect_only(const Report& report, Defect defect) {
    EXPECT_FALSE(report.ok());
    for (const Finding& finding : report.findings) EXPECT_EQ(finding.defect, defect) << finding.text;
  }
};

INSTANTIATE_TEST_SUITE_P(Orders, Harness, ::testing::ValuesIn(kOrders));

// Reverses a block's values through shared memory.
void reverse_kernel(Global<int> data, bool with_barrier) {
  TRACER_SHARED(int, tile, 64);
  const int t = thread_index();
  tile[t] = data[t];
  if (with_barrier) device::sync_block();
  data[t] = tile[63 - t];
}

TEST_P(Harness, SoundKernelPasses) {
  std::vector<int> values(64);
  std::iota(values.begin(), values.end(), 0);
  Buffer<int> data("data", values);
  const Report report = launch(1, 64, GetParam(), [&] { reverse_kernel(data.global(), true); });
  EXPECT_TRUE(report.ok()) << report.text();
  for (int i = 0; i < 64; ++i) EXPECT_EQ(data.values()[static_cast<size_t>(i)], 63 - i);
}

TEST_P(Harness, MissingBarrierIsARace) {
  Buffer<int> data("data", std::vector<int>(64, 1));
  const Report report = launch(1, 64, GetParam(), [&] { reverse_kernel(data.global(), false); });
  EXPECT_TRUE(report.has(Defect::kRace)) << report.text();
}

TEST_P(Harness, MissingBarrierBeforeReuseIsARace) {
  // The first barrier is there; what is missing is the one that lets all read before the second round writes.
  const Report report = launch(1, 64, GetParam(), [] {
    TRACER_SHARED(int, tile, 64);
    const int t = thread_index();
    for (int round = 0; round < 2; ++round) {
      tile[t] = round;
      device::sync_block();
      if (tile[63 - t] < 0) return;
    }
  });
  expect_only(report, Defect::kRace);
}

TEST_P(Harness, TwoWritersAreARaceEvenOfEqualValues) {
  Buffer<int> data("data", 1);
  expect_only(launch(1, 32, GetParam(), [&] { data.global()[0] = 7; }), Defect::kRace);
}

TEST_P(Harness, BlocksRaceThroughGlobalMemory) {
  Buffer<int> data("data", std::vector<int>(1, 0));
  const Report report = launch(2, 32, GetParam(), [&] {
    if (thread_index() == 0 && device::block_index() == 0) data.global()[0] = 1;
    device::sync_block();
    if (thread_index() == 5 && device::block_index() == 1) data.global()[0] += 1;
  });
  expect_only(report, Defect::kRace);
}

TEST_P(Harness, LaunchesAreOrdered) {
  Buffer<int> data("data", std::vector<int>(1, 0));
  for (int i = 0; i < 3; ++i) {
    const Report report = launch(1, 32, GetParam(), [&] {
      if (thread_index() == i) data.global()[0] += 1;
    });
    EXPECT_TRUE(report.ok()) << report.text();
  }
  EXPECT_EQ(data.values()[0], 3);
}

TEST_P(Harness, AtomicsDoNotRace) {
  Buffer<int> data("data", std::vector<int>(1, 0));
  const Report report = launch(3, 64, GetParam(), [&] { device::atomic_add(data.global(), 0, 2); });
  EXPECT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(data.values()[0], 3 * 64 * 2);
}

TEST_P(Harness, AtomicAndPlainAccessRace) {
  Buffer<int> data("data", std::vector<int>(1, 0));
  const Report report = launch(1, 32, GetParam(), [&] {
    if (thread_index() == 9) {
      data.global()[0] += 1;
    } else {
      device::atomic_add(data.global(), 0, 2);
    }
  });
  expect_only(report, Defect::kRace);
}

TEST_P(Harness, WarpSynchronisationOrdersOneWarp) {
  for (const int threads : {32, 64}) {
    const Report report = launch(1, threads, GetParam(), [&] {
      TRACER_SHARED(int, tile, 64);
      const int t = thread_index();
      tile[t] = t;
      device::sync_warp();
      if (tile[threads - 1 - t] < 0) return;  // 64: of the other warp
    });
    if (threads == 32) {
      EXPECT_TRUE(report.ok()) << report.text();
    } else {
      EXPECT_TRUE(report.has(Defect::kRace)) << report.text();
    }
  }
}

TEST_P(Harness, ShuffleDoesNotOrderMemory) {
  const Report report = launch(1, 32, GetParam(), [] {
    TRACER_SHARED(int, tile, 32);
    const int t = thread_index();
    tile[t] = t;
    const int other = device::shuffle_xor(t, 1);
    if (tile[other] < 0) return;
  });
  EXPECT_TRUE(report.has(Defect::kRace)) << report.text();
}

TEST_P(Harness, OutOfBoundsOfGlobalMemory) {
  Buffer<float> data("data", std::vector<float>(63, 1.0f));
  const Report read = launch(1, 64, GetParam(), [&] { (void)static_cast<float>(data.global()[thread_index()]); });
  expect_only(read, Defect::kOutOfBounds);
  EXPECT_EQ(read.findings.size(), 1u) << read.text();
  const Report write = launch(1, 32, GetParam(), [&] { (data.global() + -1)[thread_index()] = 2.0f; });
  expect_only(write, Defect::kOutOfBounds);
  EXPECT_EQ(write.findings.size(), 1u) << write.text();
}

TEST_P(Harness, OutOfBoundsOfSharedMemory) {
  const Report report = launch(1, 64, GetParam(), [] {
    TRACER_SHARED(int, tile, 60);
    tile[thread_index()] = 1;
  });
  expect_only(report, Defect::kOutOfBounds);
  EXPECT_EQ(report.findings.size(), 4u) << report.text();
}

TEST_P(Harness, SharedMemoryStartsUninitialised) {
  const Report report = launch(2, 32, GetParam(), [] {
    TRACER_SHARED(int, tile, 32);
    if (device::block_index() == 0) tile[thread_index()] = 1;  // the other block's is another tile
    device::sync_warp();
    if (tile[thread_index()] == 12345) return;
  });
  expect_only(report, Defect::kUninitialised);
}

TEST_P(Harness, UnwrittenOutputShows) {
  Buffer<int> out("out", 40);
  const Report report = launch(1, 32, GetParam(), [&] { out.global()[thread_index()] = 1; });
  EXPECT_TRUE(report.ok()) << report.text();
  EXPECT_FALSE(out.all_written());
}

TEST_P(Harness, DivergentBarrier) {
  const Report returned = launch(1, 64, GetParam(), [] {
    if (thread_index() == 40) return;
    device::sync_block();
  });
  expect_only(returned, Defect::kDivergentBarrier);
  const Report branches = launch(1, 64, GetParam(), [] {
    if (thread_index() < 32) {
      device::sync_block();
    } else {
      device::sync_block();  // another one
    }
  });
  expect_only(branches, Defect::kDivergentBarrier);
}

TEST_P(Harness, DivergentWarpOperation) {
  const Report report = launch(1, 32, GetParam(), [] {
    if (thread_index() % 2 == 0) device::shuffle_xor(1, 2);
  });
  expect_only(report, Defect::kDivergentWarp);
}

TEST_P(Harness, GoesOnAfterADivergentBlock) {
  Buffer<int> out("out", std::vector<int>(2, 0));
  const Report report = launch(2, 32, GetParam(), [&] {
    if (device::block_index() == 0 && thread_index() == 3) return;
    device::sync_block();
    if (thread_index() == 0) out.global()[device::block_index()] = 1;
  });
  EXPECT_TRUE(report.has(Defect::kDivergentBarrier));
  EXPECT_EQ(out.values(), (std::vector<int>{0, 1}));
}

TEST_P(Harness, ShufflesMoveValues) {
  Buffer<double> out("out", 64);
  const Report report = launch(1, 64, GetParam(), [&] {
    const int t = thread_index();
    const double neighbour = device::shuffle_xor(static_cast<double>(t), 1);
    const double later = device::shuffle_down(neighbour, 16);  // lanes 16 and up keep their own
    out.global()[t] = later;
  });
  EXPECT_TRUE(report.ok()) << report.text();
  for (int t = 0; t < 64; ++t) {
    const int from = t % 32 < 16 ? t + 16 : t;
    EXPECT_EQ(out.values()[static_cast<size_t>(t)], from ^ 1) << t;
  }
}

TEST_P(Harness, ShufflesAndVotesOfEveryKind) {
  Buffer<int> out("out", 32 * 6);
  const Report report = launch(1, 32, GetParam(), [&] {
    const int t = thread_index();
    const Global<int> o = out.global();
    o[t] = device::shuffle(t, 5);
    o[32 + t] = device::shuffle_up(t, 3);  // lanes 0 to 2 keep their own
    o[64 + t] = static_cast<int>(device::ballot(t % 3 == 0));
    o[96 + t] = device::any(t == 31) ? 1 : 0;
    o[128 + t] = device::all(t < 31) ? 1 : 0;
    o[160 + t] = device::all(t < 32) ? 1 : 0;
  });
  EXPECT_TRUE(report.ok()) << report.text();
  int thirds = 0;
  for (int t = 0; t < 32; t += 3) thirds |= static_cast<int>(1u << t);
  for (int t = 0; t < 32; ++t) {
    const auto at = [&](int row) { return out.values()[static_cast<size_t>(32 * row + t)]; };
    EXPECT_EQ(at(0), 5);
    EXPECT_EQ(at(1), t < 3 ? t : t - 3);
    EXPECT_EQ(at(2), thirds);
    EXPECT_EQ(at(3), 1);
    EXPECT_EQ(at(4), 0);
    EXPECT_EQ(at(5), 1);
  }
}

TEST_P(Harness, DivergentVote) {
  const Report report = launch(1, 32, GetParam(), [] {
    if (thread_index() != 7) device::ballot(true);
  });
  expect_only(report, Defect::kDivergentWarp);
}

TEST_P(Harness, AtomicsOfEveryKind) {
  Buffer<int32_t> data("data", std::vector<int32_t>{0, -5, 0});
  Buffer<float> sum("sum", std::vector<float>{0.0f});
  const Report report = launch(2, 64, GetParam(), [&] {
    const int t = thread_index();
    device::atomic_max(data.global(), 1, t);
    device::atomic_cas(data.global(), 2, 0, t + 1);  // the first one wins
    device::atomic_add(sum.global(), 0, 1.0f);
  });
  EXPECT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(data.values()[1], 63);
  EXPECT_GE(data.values()[2], 1);
  EXPECT_EQ(sum.values()[0], 128.0f);
}

// The dynamic shared memory is as long as the launch paid for, and is watched like any other.
void dynamic_kernel(int write, int read, bool with_barrier) {
  TRACER_DYNAMIC_SHARED(float, tile);
  const int t = thread_index();
  if (t < write) tile[t] = static_cast<float>(t);
  if (with_barrier) device::sync_block();
  if (t < read && tile[read - 1 - t] < 0.0f) return;
}

TEST_P(Harness, DynamicSharedMemoryIsWatched) {
  const auto run = [&](int write, int read, bool with_barrier, int64_t floats) {
    return launch(
        1, 64, GetParam(), [=] { dynamic_kernel(write, read, with_barrier); }, floats * 4);
  };
  EXPECT_TRUE(run(64, 64, true, 64).ok());
  expect_only(run(64, 63, true, 63), Defect::kOutOfBounds);
  expect_only(run(60, 64, true, 64), Defect::kUninitialised);
  EXPECT_TRUE(run(64, 64, false, 64).has(Defect::kRace));
}

TEST_P(Harness, MisalignedVectors) {
  Buffer<float> data("data", std::vector<float>(64, 1.0f));
  EXPECT_TRUE(launch(1, 32, GetParam(), [&] {
                if (thread_index() < 16) device::load4(Global<const float>(data.global()), 4 * thread_index());
              }).ok());
  expect_only(launch(1, 32, GetParam(),
                     [&] {
                       if (thread_index() == 3) device::load4(Global<const float>(data.global()), 6);
                     }),
              Defect::kMisaligned);
}

// Each kernel of ours without one of its barriers would be a kernel like this one: right in one order, wrong in others.
TEST(HarnessOrders, ResultsOfARaceDependOnTheOrder) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer cannot follow the harness's fibers; they all run on one thread anyway";
#endif
  std::vector<int> last;
  for (const Order order : kOrders) {
    Buffer<int> data("data", 1);
    EXPECT_TRUE(launch(1, 64, order, [&] { data.global()[0] = thread_index(); }).has(Defect::kRace));
    last.push_back(data.values()[0]);
  }
  EXPECT_EQ(last[0], 63);
  EXPECT_EQ(last[1], 0);
}

}  // namespace
}  // namespace tracer::simt
