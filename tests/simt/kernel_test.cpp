// What the table of tests of kernels/ (simt_backend_tests) does not reach: the exact product's own kernel, and the
// choices that a backend makes for speed, forced one way and the other, in several thread orders.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/simt/device.h"
// After the vocabulary:
#include "kernels/cuda/exact_gemm.cuh"
#include "kernels/cuda/storage.cuh"
#include "kernels/cuda/warp.cuh"
#include "tests/kernels/support.h"
#include "tests/simt/simt_backend.h"

namespace tracer {
namespace {

class SimtKernels : public ::testing::TestWithParam<simt::Order> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer cannot follow the harness's fibers; they all run on one thread anyway";
#endif
    simt::set_launch_order(GetParam());
  }
  void TearDown() override { simt::set_launch_order(0); }
};

INSTANTIATE_TEST_SUITE_P(Orders, SimtKernels, ::testing::ValuesIn(simt::kOrders));

void narrow(float x, float& out) { out = x; }
void narrow(float x, BFloat16& out) { out = cuda::round_to_bfloat16(x); }

template <int kMicro, class T>
void expect_cpu_bytes(simt::Order order, Trans ta, Trans tb, int64_t m, int64_t n, int64_t k) {
  SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k << ", tiles of " << 16 * kMicro);
  const Matrix<float> a = ta == Trans::kNo ? test::uniform(m, k, 1) : test::uniform(k, m, 1);
  const Matrix<float> b = tb == Trans::kNo ? test::uniform(k, n, 2) : test::uniform(n, k, 2);
  std::vector<T> as, bs;
  Matrix<float> a_read = a.clone(), b_read = b.clone(), expected(m, n);
  for (int64_t i = 0; i < a.size(); ++i) {
    narrow(a.data()[i], as.emplace_back());
    a_read.data()[i] = cuda::widen(as.back());
  }
  for (int64_t i = 0; i < b.size(); ++i) {
    narrow(b.data()[i], bs.emplace_back());
    b_read.data()[i] = cuda::widen(bs.back());
  }
  ASSERT_OK(
      test::make(test::isas().front(), 1)->gemm(ta, tb, a_read.view(), b_read.view(), Epilogue{}, expected.view()));
  device::Buffer<T> left("a", as), right("b", bs);
  device::Buffer<float> out("c", std::vector<float>(static_cast<size_t>(m * n), 1.0f));
  cuda::GemmShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.a = ta == Trans::kNo ? cuda::Layout{k, 1, k % 4 == 0} : cuda::Layout{1, m, m % 4 == 0};
  shape.b = tb == Trans::kNo ? cuda::Layout{1, n, n % 4 == 0} : cuda::Layout{k, 1, k % 4 == 0};
  shape.ldc = n;
  for (const bool accumulate : {false, true}) {
    if (accumulate && k > cuda::kChain) continue;  // adds chain by chain: other roundings
    shape.accumulate = accumulate;
    constexpr int64_t kTile = 16 * kMicro;
    const int64_t blocks = (m + kTile - 1) / kTile * ((n + kTile - 1) / kTile);
    const simt::Report report = simt::launch(blocks, cuda::kGemmThreads, order, [&] {
      cuda::exact_gemm_kernel<kMicro, T>(shape, left.global(), right.global(), out.global());
    });
    ASSERT_TRUE(report.ok()) << report.text();
    for (int64_t i = 0; i < m * n; ++i) {
      const float once = expected.data()[i];
      ASSERT_EQ(out.values()[static_cast<size_t>(i)], accumulate ? once + once : once) << i;
    }
  }
}

TEST_P(SimtKernels, TheExactProductHasTheCpusBytes) {
  const auto no = Trans::kNo, yes = Trans::kYes;
  expect_cpu_bytes<4, float>(GetParam(), no, no, 1, 1, 1);
  expect_cpu_bytes<4, float>(GetParam(), no, no, 63, 65, 17);
  expect_cpu_bytes<4, float>(GetParam(), yes, no, 64, 3, 15);
  expect_cpu_bytes<4, float>(GetParam(), no, yes, 2, 64, 16);
  expect_cpu_bytes<4, float>(GetParam(), yes, yes, 5, 7, 33);
  expect_cpu_bytes<4, float>(GetParam(), no, yes, 3, 2, 385);  // a block of the chain, and one more
  expect_cpu_bytes<4, float>(GetParam(), no, no, 2, 3, 800);
  expect_cpu_bytes<4, BFloat16>(GetParam(), no, yes, 9, 31, 40);
  if (GetParam() == 0) {
    expect_cpu_bytes<8, float>(GetParam(), no, yes, 127, 130, 20);
    expect_cpu_bytes<8, float>(GetParam(), yes, no, 128, 1, 384);
  }
}

TEST(SimtStorage, RoundsAsTheCpuDoes) {
  std::mt19937 random(9);
  for (int i = 0; i < 100000; ++i) {
    uint32_t bits = static_cast<uint32_t>(random());
    if (i % 4 == 0) bits = (bits & 0xffff0000u) | 0x8000u;  // a tie
    float x;
    std::memcpy(&x, &bits, sizeof x);
    ASSERT_EQ(cuda::round_to_bfloat16(x), to_bfloat16(x)) << std::hexfloat << x;
  }
}

TEST_P(SimtKernels, ListsKeepTheBestInOrder) {
  std::mt19937 random(5);
  std::vector<float> scores(200);
  for (float& s : scores) s = static_cast<float>(random() % 20);  // full of ties
  std::vector<int32_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::shuffle(order.begin(), order.end(), random);  // not in ascending index
  device::Buffer<float> score("score", 64);
  device::Buffer<int32_t> index("index", 64);
  const simt::Report report = simt::launch(1, 32, GetParam(), [&] {
    cuda::WarpList<2> list;
    list.clear();
    for (const int32_t i : order) list.insert(scores[static_cast<size_t>(i)], i);
    for (int s = 0; s < 2; ++s) {
      score.global()[s * 32 + cuda::lane_index()] = list.score[s];
      index.global()[s * 32 + cuda::lane_index()] = list.index[s];
    }
  });
  ASSERT_TRUE(report.ok()) << report.text();
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const float sa = scores[static_cast<size_t>(a)], sb = scores[static_cast<size_t>(b)];
    return sa > sb || (sa == sb && a < b);
  });
  EXPECT_TRUE(std::equal(index.values().begin(), index.values().end(), order.begin()));
}

struct Found {
  explicit Found(int64_t n, int64_t k) : index(n, k), similarity(n, k), summary(static_cast<size_t>(n)) {}
  Matrix<int32_t> index;
  Matrix<float> similarity;
  std::vector<NeighbourSummary> summary;
  TopKReport report;
};

Found find(Backend& backend, HostMatrix<const float> q, HostMatrix<const float> r, int64_t k, bool exclude = false) {
  Found f(q.rows, k);
  const std::vector<int32_t> label = test::integers(r.rows, 5, 7), group = test::integers(r.rows, 3, 8),
                             q_group = test::integers(q.rows, 3, 9);
  const auto references = backend.prepare_references(r, {group, label});
  EXPECT_TRUE(references.ok());
  const std::span<const int32_t> groups = exclude ? std::span<const int32_t>(q_group) : std::span<const int32_t>();
  const Status status =
      backend.topk_cosine(q, **references, groups, {f.index.view(), f.similarity.view()}, f.summary, &f.report);
  EXPECT_TRUE(status.ok()) << status.message();
  return f;
}

void expect_same(const Found& a, const Found& b) {
  EXPECT_TRUE(test::same_bytes(a.index, b.index));
  EXPECT_TRUE(test::same_bytes(a.similarity, b.similarity));
  EXPECT_TRUE(test::same_bytes(a.summary, b.summary));
}

TEST_P(SimtKernels, ScreeningChangesNothingAndProvesMost) {
  const auto cpu = test::make(test::isas().front(), 1);
  simt::BackendTuning plain;
  plain.screen = false;
  const auto screened = simt::make_backend(), exact = simt::make_backend(plain);
  for (const int64_t k : {1, 10, 33, 64}) {
    for (const bool exclude : {false, true}) {
      SCOPED_TRACE(testing::Message() << "k " << k << ", excluding " << exclude);
      const Matrix<float> q = test::unit_rows(30, 20, 3), r = test::unit_rows(301, 20, 4);
      const Found expected = find(*cpu, q.view(), r.view(), k, exclude);
      const Found got = find(*screened, q.view(), r.view(), k, exclude);
      expect_same(got, expected);
      expect_same(find(*exact, q.view(), r.view(), k, exclude), expected);
      EXPECT_TRUE(got.report.screened);
      EXPECT_LT(got.report.rescanned, 30);
    }
  }
}

// References within 1e-4 of each other: bfloat16 cannot order them, so that nothing may be proven by it.
TEST_P(SimtKernels, ReferencesThatBFloat16CannotTellApartAreRescanned) {
  const auto cpu = test::make(test::isas().front(), 1);
  const auto screened = simt::make_backend();
  Matrix<float> r(400, 24);
  const Matrix<float> base = test::unit_rows(1, 24, 5), noise = test::uniform(400, 24, 6, -2e-5f, 2e-5f);
  for (int64_t i = 0; i < r.rows(); ++i) {
    for (int64_t j = 0; j < r.cols(); ++j) r(i, j) = base(0, j) + noise(i, j);
  }
  const Matrix<float> q = test::unit_rows(6, 24, 7);
  const Found got = find(*screened, q.view(), r.view(), 10);
  expect_same(got, find(*cpu, q.view(), r.view(), 10));
  EXPECT_EQ(got.report.rescanned, 6);
}

TEST_P(SimtKernels, LogitsInSharedMemoryAndInDeviceMemoryDecideAlike) {
  const int64_t n = 21, d = 70, classes = 41;
  const Matrix<float> x = test::uniform(n, d, 1), w = test::uniform(d, classes, 2);
  std::vector<float> b(static_cast<size_t>(classes), 0.1f);
  b[3] = -1e5f;
  simt::BackendTuning spilled;
  spilled.head_shared_bytes = 0;
  std::vector<Matrix<float>> results;
  for (const auto& backend : {simt::make_backend(), simt::make_backend(spilled)}) {
    const auto head = backend->prepare_head(w.view(), b);
    ASSERT_TRUE(head.ok());
    results.emplace_back(n, classes);
    ASSERT_OK(backend->head_probabilities(x.view(), **head, results.back().view()));
  }
  EXPECT_TRUE(test::same_bytes(results[0], results[1]));
}

TEST_P(SimtKernels, OutOfMemoryIsAnErrorAndTheBackendGoesOn) {
  const auto backend = simt::make_backend();
  Matrix<float> a = test::uniform(40, 30, 1), b = test::uniform(30, 20, 2), c(40, 20);
  simt::set_memory(100);
  const Status status = backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), Epilogue{}, c.view());
  simt::set_memory(int64_t{1} << 40);
  EXPECT_EQ(status.code(), ErrorCode::kDevice);
  EXPECT_NE(status.message().find("out of device memory"), std::string::npos);
  ASSERT_OK(backend->gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), Epilogue{}, c.view()));
}

}  // namespace
}  // namespace tracer
