// What mutants.py runs against each mutant: small calls of one operation, its results beside the CPU backend's. Only
// the part that is asked for (-DMUTANT_ROWS, ...) is compiled. What the harness finds is the call's error. The calls go
// to mutant_kernels.cpp, which has the mutation in it; this file includes nothing that is mutated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/support.h"
#include "tests/simt/device.h"
#include "tests/simt/runtime.h"
// After the vocabulary:
#include "kernels/cuda/operations.cuh"
#if defined(MUTANT_PRODUCT)
#include "tests/simt/mutant_product.h"
#elif defined(MUTANT_SEARCH)
#include "tests/simt/mutant_rounding.h"
#endif

namespace tracer {
namespace {

class Mutant : public ::testing::TestWithParam<simt::Order> {
 protected:
  void SetUp() override {
    simt::launch_order() = GetParam();
    cuda::Tuning tuning;
    tuning.rows = 9;
    tuning.queries = 5;
    tuning.references = 264;  // two rounds of a warp, and a last tile
    tuning.screening = cuda::Screening::kAlways;
    context = std::move(cuda::Context::create(tuning, nullptr)).value();
  }
  std::unique_ptr<cuda::Context> context;
  Backend& cpu = simt::cpu();
};

INSTANTIATE_TEST_SUITE_P(Orders, Mutant, ::testing::Values(0u, 1u, 2u));

[[maybe_unused]] void expect_close(const Matrix<float>& a, const Matrix<float>& b, double tolerance) {
  for (int64_t i = 0; i < a.size(); ++i) EXPECT_TRUE(test::near(a.data()[i], b.data()[i], tolerance)) << i;
}

#if defined(MUTANT_PRODUCT)

TEST_P(Mutant, Product) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{65, 63, 17}, {3, 70, 390}, {66, 68, 36}}) {
    Matrix<float> a = test::uniform(m, k, 1), b = test::uniform(k, n, 2), expected(m, n);
    for (int64_t i = 0; i < k; ++i) a(0, i) = 1e-30f, b(i, 0) = -1e-30f;  // (0, 0) is -0, which + 0 * 0 would make +0
    ASSERT_OK(cpu.gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), Epilogue{}, expected.view()));
    const auto left = cuda::upload<float>(*context, a.view()), right = cuda::upload<float>(*context, b.view());
    const auto out = cuda::allocate<float>(*context, m * n);
    ASSERT_OK(simt::launch_exact_product(*context, m, n, k, left->global(), right->global(), out->global()));
    Matrix<float> got(m, n);
    ASSERT_OK(cuda::download(*context, *out, got.data()));
    EXPECT_TRUE(test::same_bytes(got, expected));
  }
}

#elif defined(MUTANT_ROWS)

TEST_P(Mutant, Rows) {
  Matrix<float> x = test::uniform(21, 131, 3), y = x.clone();
  ASSERT_OK(cpu.normalise_rows(y.view()));
  ASSERT_OK(cuda::normalise_rows(*context, x.view()));
  expect_close(x, y, 1e-6);
  const Matrix<float> wide = test::uniform(7, 9, 4);
  for (const int64_t cols : {8, 9}) {
    const Matrix<float> from = test::uniform(6, cols, 5);
    const std::vector<int64_t> index = {5, 0, 0, 3, 2};
    Matrix<float> got(5, cols), picked(5, cols);
    ASSERT_OK(cpu.gather_rows(from.view(), index, picked.view()));
    ASSERT_OK(cuda::gather_rows(*context, from.view(), index, got.view()));
    EXPECT_TRUE(test::same_bytes(got, picked));
  }
  const std::vector<int64_t> begin = {0, 3, 3, 5};
  const std::vector<int32_t> column = {6, 0, 6, 2, 1};
  const std::vector<float> weight = {0.5f, -1.25f, 3.0f, 0.1f, 0.7f};
  const SparseRows sparse{begin, column, weight};
  Matrix<float> sum(3, 9), expected_sum(3, 9);
  ASSERT_OK(cpu.sparse_product(sparse, wide.view(), expected_sum.view()));
  ASSERT_OK(cuda::sparse_product(*context, sparse, wide.view(), sum.view()));
  expect_close(sum, expected_sum, 1e-6);
}

#elif defined(MUTANT_LAYERS)

TEST_P(Mutant, Layers) {
  const Matrix<float> a = test::uniform(10, 4, 1), b = test::uniform(4, 31, 2), tall = test::uniform(600, 3, 4);
  const std::vector<float> bias(31, 0.25f);
  for (const Activation activation : {Activation::kRelu, Activation::kGelu}) {
    Matrix<float> c(10, 31), pre(10, 31), expected(10, 31), expected_pre(10, 31);
    ASSERT_OK(
        cpu.gemm(Trans::kNo, Trans::kNo, a.view(), b.view(), {bias, activation, expected_pre.view()}, expected.view()));
    ASSERT_OK(cuda::gemm<float>(*context, Trans::kNo, Trans::kNo, a.view(), b.view(), {bias, activation, pre.view()},
                                c.view()));
    expect_close(c, expected, 1e-5);
    expect_close(pre, expected_pre, 1e-5);
    pre(0, 0) = expected_pre(0, 0) = 0.0f;
    ASSERT_OK(cpu.gemm_backward(Trans::kNo, Trans::kNo, a.view(), b.view(), activation, expected_pre.view(),
                                expected.view()));
    ASSERT_OK(
        cuda::gemm_backward(*context, Trans::kNo, Trans::kNo, a.view(), b.view(), activation, pre.view(), c.view()));
    expect_close(c, expected, 1e-5);
  }
  Matrix<float> sums(1, 3), expected(1, 3);
  ASSERT_OK(cpu.column_sums(tall.view(), {expected.data(), 3}));
  ASSERT_OK(cuda::column_sums(*context, tall.view(), {sums.data(), 3}));
  expect_close(sums, expected, 1e-5);
}

#elif defined(MUTANT_SEARCH)

TEST_P(Mutant, Rounding) {
  for (const float x : {1.00390625f, 1.01171875f, 0.1f, -2.5f}) {  // two ties first: down, and up
    EXPECT_EQ(simt::device_rounding(x), to_bfloat16(x)) << x;
  }
}

// References in small integers, exact in bfloat16 and full of ties; in clusters that bfloat16 cannot order; apart.
TEST_P(Mutant, Search) {
  std::mt19937 random(3);
  Matrix<float> ties(300, 6), near(300, 12), apart = test::unit_rows(300, 12, 8), longer = test::unit_rows(90, 390, 9);
  for (int64_t i = 0; i < ties.size(); ++i) ties.data()[i] = static_cast<float>(static_cast<int>(random() % 3) - 1);
  const Matrix<float> base = test::unit_rows(1, 12, 5), noise = test::uniform(300, 12, 6, -2e-3f, 2e-3f);
  for (int64_t i = 0; i < near.size(); ++i) near.data()[i] = base.data()[i % 12] + noise.data()[i];
  // Each query is among the references, and the rest are closer to each other than bfloat16 can tell: the best score
  // proves nothing about the k-th.
  const Matrix<float> among = test::unit_rows(6, 12, 7), speck = test::uniform(300, 12, 10, -2e-5f, 2e-5f);
  Matrix<float> outliers(300, 12);
  for (int64_t i = 0; i < outliers.size(); ++i) {
    outliers.data()[i] = i < among.size() ? among.data()[i] : base.data()[i % 12] + speck.data()[i];
  }
  for (const Matrix<float>* r : {&ties, &near, &apart, &longer, &outliers}) {
    const Matrix<float> q = r == &ties ? ties.clone() : test::unit_rows(6, r->cols(), 7);
    const HostMatrix<const float> queries = HostMatrix<const float>(q.view()).rows_from(0, 6);
    for (const int64_t k : {1, 7, 32, 40}) {
      Matrix<int32_t> index(6, k), expected_index(6, k);
      Matrix<float> score(6, k), expected_score(6, k);
      const auto references = cpu.prepare_references(HostMatrix<const float>(r->view()), {});
      ASSERT_OK(
          cpu.topk_cosine(queries, **references, {}, {expected_index.view(), expected_score.view()}, {}, nullptr));
      const auto ours = cuda::prepare_references(*context, r->view(), {});
      ASSERT_TRUE(ours.ok()) << ours.status().message();
      ASSERT_OK(cuda::topk_cosine(*context, queries, **ours, {}, {index.view(), score.view()}, {}, nullptr));
      EXPECT_TRUE(test::same_bytes(index, expected_index));
      EXPECT_TRUE(test::same_bytes(score, expected_score));
    }
  }
}

#elif defined(MUTANT_DECIDE)

TEST_P(Mutant, Decide) {
  const int64_t n = 19, d = 70, classes = 140;
  Matrix<float> x = test::uniform(n, d, 1), w = test::uniform(d, classes, 2);
  for (int64_t k = 0; k < d; ++k) w(k, 100) = w(k, 3) = 0.5f + w(k, 3);  // two classes that tie
  const std::vector<float> b(static_cast<size_t>(classes), 0.0f);
  Matrix<float> p(n, classes), expected_p(n, classes);
  const auto head = cpu.prepare_head(w.view(), b);
  ASSERT_OK(cpu.head_probabilities(HostMatrix<const float>(x.view()), **head, expected_p.view()));
  const auto ours = cuda::prepare_head(*context, w.view(), b);
  ASSERT_TRUE(ours.ok()) << ours.status().message();
  ASSERT_OK(cuda::head_probabilities(*context, x.view(), **ours, p.view()));
  expect_close(p, expected_p, 1e-5);
  std::vector<DecisionFeatures> out(static_cast<size_t>(n)), expected(static_cast<size_t>(n));
  ASSERT_OK(cpu.decision_features_from(HostMatrix<const float>(expected_p.view()), NeighbourVote{}, expected));
  ASSERT_OK(cuda::decision_features_from(*context, expected_p.view(), NeighbourVote{}, out));
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].label, expected[i].label);
    EXPECT_EQ(out[i].top1, expected[i].top1);
    EXPECT_EQ(out[i].top2, expected[i].top2);
    EXPECT_TRUE(test::near(out[i].entropy, expected[i].entropy, 1e-5));
  }
}

#elif defined(MUTANT_WIDE)

TEST_P(Mutant, Wide) {
  const int64_t n = 25, d = 5, classes = 35, models = 3, cols = models * classes;
  const Matrix<float> x = test::uniform(n, d, 1), w = test::uniform(d, cols, 2);
  const std::vector<float> b(static_cast<size_t>(cols), 0.1f);
  const std::vector<int32_t> label = test::integers(n, 35, 3), held_out = {-1, 0, 1};
  std::vector<int32_t> fold;
  for (int64_t i = 0; i < n; ++i) fold.push_back(static_cast<int32_t>(i / 11));
  Matrix<uint8_t> seen(models, classes);
  std::fill_n(seen.data(), seen.size(), uint8_t{1});
  const std::vector<uint8_t> active(static_cast<size_t>(models), 1);
  const WideSoftmaxProblem problem{x.view(), label, classes, fold, held_out, seen.view()};
  std::vector<double> loss(3), expected_loss(3);
  Matrix<float> grad(d, cols), expected(d, cols), held(n, classes), expected_held(n, classes);
  std::vector<float> grad_b(static_cast<size_t>(cols)), expected_b(static_cast<size_t>(cols));
  ASSERT_OK(
      cpu.wide_softmax(problem, w.view(), b, active, expected_loss, expected.view(), expected_b, expected_held.view()));
  ASSERT_OK(cuda::wide_softmax(*context, problem, w.view(), b, active, loss, grad.view(), grad_b, held.view()));
  for (size_t m = 0; m < 3; ++m) EXPECT_TRUE(test::near(loss[m], expected_loss[m], 1e-5));
  expect_close(grad, expected, 1e-5);
  expect_close(held, expected_held, 1e-5);
}

#elif defined(MUTANT_GROUPS)

TEST_P(Mutant, KMeans) {
  const Matrix<float> x = test::uniform(30, 7, 1);
  Matrix<float> centroid = test::uniform(127, 7, 2);
  for (int64_t j = 0; j < 7; ++j) centroid(70, j) = centroid(2, j) = x(0, j);  // a tie for row 0
  std::vector<int32_t> label(30), expected(30);
  std::vector<float> distance(30), expected_distance(30);
  ASSERT_OK(cpu.kmeans_assign(x.view(), centroid.view(), expected, expected_distance));
  ASSERT_OK(cuda::kmeans_assign(*context, x.view(), centroid.view(), label, distance));
  EXPECT_EQ(label, expected);
  label = test::integers(30, 127, 4);
  label[5] = 126;
  Matrix<float> moved = centroid.clone();
  std::vector<int64_t> count(127), expected_count(127);
  ASSERT_OK(cpu.kmeans_update(x.view(), label, centroid.view(), expected_count));
  ASSERT_OK(cuda::kmeans_update(*context, x.view(), label, moved.view(), count));
  EXPECT_TRUE(test::same_bytes(moved, centroid));
  EXPECT_EQ(count, expected_count);
}

TEST_P(Mutant, Parity) {
  std::mt19937 random(7);
  std::vector<float> score(256);
  std::vector<uint8_t> agree(256);
  for (float& s : score) {
    s = static_cast<float>(static_cast<int>(random() % 9) - 4);
    if (s == 0.0f && random() % 2 == 0) s = -0.0f;
  }
  for (uint8_t& a : agree) a = random() % 4 != 0;
  const std::vector<int64_t> begin = {0, 60, 60, 61, 256};
  Matrix<int32_t> allowed(3, 196 + 1);
  for (int64_t r = 0; r < allowed.cols(); ++r) {
    for (int64_t a = 0; a < 2; ++a) allowed(a, r) = static_cast<int32_t>(r * (a + 1) / 8) - 1;
    allowed(2, r) = static_cast<int32_t>(r);  // all pass: three segments have their last prefix in one warp
  }
  Matrix<ParityPoint> got(4, 3), expected(4, 3);
  ASSERT_OK(cpu.parity_sweep({score, agree, begin, allowed.view()}, expected.view()));
  ASSERT_OK(cuda::parity_sweep(*context, {score, agree, begin, allowed.view()}, got.view()));
  for (int64_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got.data()[i].handled, expected.data()[i].handled) << i;
    EXPECT_EQ(got.data()[i].disagree, expected.data()[i].disagree) << i;
    EXPECT_EQ(got.data()[i].score_next, expected.data()[i].score_next) << i;
  }
}

TEST_P(Mutant, ParityOfZeros) {
  const std::vector<float> score = {-0.0f, 0.0f};
  const std::vector<uint8_t> agree = {0, 1};
  const std::vector<int64_t> begin = {0, 2};
  Matrix<int32_t> allowed(1, 3);
  allowed(0, 2) = -1;
  Matrix<ParityPoint> got(1, 1);
  ASSERT_OK(cuda::parity_sweep(*context, {score, agree, begin, allowed.view()}, got.view()));
  EXPECT_EQ(got(0, 0).handled, 0);  // a tie is never cut
}

#endif

}  // namespace
}  // namespace tracer
