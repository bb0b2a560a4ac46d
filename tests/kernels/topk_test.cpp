#include <algorithm>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

class TopKCosine : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(TopKCosine);

struct Neighbours {
  Neighbours(int64_t queries, int64_t k) : index(queries, k), similarity(queries, k) {}
  TopK out() { return {index.view(), similarity.view()}; }
  Matrix<int32_t> index;
  Matrix<float> similarity;
};

std::vector<double> similarities(HostMatrix<const float> q, HostMatrix<const float> r, int64_t i) {
  std::vector<double> s(static_cast<size_t>(r.rows));
  for (int64_t j = 0; j < r.rows; ++j) {
    double sum = 0;
    for (int64_t c = 0; c < q.cols; ++c) sum += static_cast<double>(q(i, c)) * r(j, c);
    s[static_cast<size_t>(j)] = sum;
  }
  return s;
}

// The oracle sorts everything in double precision. `tolerance` is the error of a float32 similarity: where the oracle's
// similarities are closer than that, either order is right, so the similarity of the j-th place is compared and each
// index is checked to have the similarity that it claims, to be admissible and to appear once. tolerance 0: indices
// are compared exactly.
void check(HostMatrix<const float> q, HostMatrix<const float> r, const std::vector<int32_t>& q_group,
           const std::vector<int32_t>& r_group, Neighbours& got, double tolerance) {
  const int64_t k = got.index.cols();
  for (int64_t i = 0; i < q.rows; ++i) {
    const std::vector<double> s = similarities(q, r, i);
    std::vector<int32_t> order;
    for (int32_t j = 0; j < r.rows; ++j) {
      if (q_group.empty() || q_group[static_cast<size_t>(i)] != r_group[static_cast<size_t>(j)]) order.push_back(j);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return s[static_cast<size_t>(a)] > s[static_cast<size_t>(b)]; });
    std::vector<int32_t> seen;
    for (int64_t j = 0; j < k; ++j) {
      const int32_t index = got.index(i, j);
      if (j >= static_cast<int64_t>(order.size())) {
        ASSERT_EQ(index, -1) << "query " << i << " place " << j;
        ASSERT_EQ(got.similarity(i, j), -2.0f);
        continue;
      }
      const int32_t expected = order[static_cast<size_t>(j)];
      ASSERT_TRUE(test::near(got.similarity(i, j), s[static_cast<size_t>(expected)], tolerance))
          << "query " << i << " place " << j;
      if (tolerance == 0) {
        ASSERT_EQ(index, expected) << "query " << i << " place " << j;
      }
      ASSERT_NE(std::find(order.begin(), order.end(), index), order.end()) << "not admissible";
      ASSERT_EQ(std::find(seen.begin(), seen.end(), index), seen.end()) << "twice";
      seen.push_back(index);
      ASSERT_TRUE(test::near(got.similarity(i, j), s[static_cast<size_t>(index)], tolerance));
      if (j > 0) {
        ASSERT_LE(got.similarity(i, j), got.similarity(i, j - 1));
        if (got.similarity(i, j) == got.similarity(i, j - 1)) {
          ASSERT_LT(got.index(i, j - 1), index);
        }
      }
    }
  }
}

TEST_P(TopKCosine, MatchesTheOracleAtEveryEdge) {
  const std::vector<std::array<int64_t, 4>> cases = {
      // queries, references, d, k
      {0, 5, 3, 2},      {1, 0, 3, 2},      {1, 1, 1, 1},      {1, 5, 3, 0},       {7, 3, 4, 5},     {8, 11, 5, 3},
      {9, 12, 16, 4},    {16, 13, 17, 1},   {17, 25, 7, 64},   {24, 97, 31, 9},    {25, 100, 32, 8}, {31, 101, 383, 10},
      {33, 64, 384, 10}, {32, 65, 385, 10}, {64, 211, 769, 6}, {263, 307, 40, 12}, {601, 89, 24, 20}};
  for (const auto& [n, m, d, k] : cases) {
    SCOPED_TRACE(testing::Message() << n << " queries, " << m << " references, d " << d << ", k " << k);
    const Matrix<float> q = test::unit_rows(n, d, 11), r = test::unit_rows(m, d, 12);
    Neighbours got(n, k);
    ASSERT_OK(backend->topk_cosine(q.view(), r.view(), {}, {}, got.out()));
    // At most d + 2 roundings of partial sums bounded by |q| |r| = 1 (Cauchy-Schwarz).
    check(q.view(), r.view(), {}, {}, got, static_cast<double>(d + 4) * test::kRounding);
    const std::vector<int32_t> qg = test::integers(n, 3, 13), rg = test::integers(m, 3, 14);
    ASSERT_OK(backend->topk_cosine(q.view(), r.view(), qg, rg, got.out()));
    check(q.view(), r.view(), qg, rg, got, static_cast<double>(d + 4) * test::kRounding);
  }
}

// Entries in {-1, 0, 1}: similarities are small integers, exact in float32 and full of ties.
Matrix<float> ternary(int64_t rows, int64_t cols, uint32_t seed) {
  Matrix<float> m(rows, cols);
  std::mt19937 rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(static_cast<int>(rng() % 3) - 1);
  return m;
}

TEST_P(TopKCosine, TiesGoToTheLowerIndex) {
  for (const int64_t n : {1, 8, 23, 40, 300}) {
    const Matrix<float> q = ternary(n, 6, 21), r = ternary(211, 6, 22);
    const std::vector<int32_t> qg = test::integers(n, 4, 23), rg = test::integers(211, 4, 24);
    for (const int64_t k : {1, 5, 64}) {
      Neighbours got(n, k);
      ASSERT_OK(backend->topk_cosine(q.view(), r.view(), {}, {}, got.out()));
      check(q.view(), r.view(), {}, {}, got, 0);
      ASSERT_OK(backend->topk_cosine(q.view(), r.view(), qg, rg, got.out()));
      check(q.view(), r.view(), qg, rg, got, 0);
    }
  }
}

TEST_P(TopKCosine, AscendingAndDescendingReferences) {
  // Every reference beats all before it, then none does.
  const int64_t m = 130;
  Matrix<float> q(1, 2), r(m, 2);
  q(0, 0) = 1;
  for (const bool ascending : {true, false}) {
    for (int64_t j = 0; j < m; ++j) r(j, 0) = static_cast<float>(ascending ? j : m - j) / 256.0f;
    Neighbours got(1, 10);
    ASSERT_OK(backend->topk_cosine(q.view(), r.view(), {}, {}, got.out()));
    check(q.view(), r.view(), {}, {}, got, 0);
  }
}

TEST_P(TopKCosine, AGroupCanExcludeEverything) {
  const Matrix<float> q = test::unit_rows(40, 9, 31), r = test::unit_rows(70, 9, 32);
  const std::vector<int32_t> qg(40, 5), rg(70, 5);
  Neighbours got(40, 3);
  ASSERT_OK(backend->topk_cosine(q.view(), r.view(), qg, rg, got.out()));
  for (int64_t i = 0; i < got.index.size(); ++i) {
    ASSERT_EQ(got.index.data()[i], -1);
    ASSERT_EQ(got.similarity.data()[i], -2.0f);
  }
}

TEST_P(TopKCosine, ARowIsNotItsOwnNeighbour) {
  const Matrix<float> x = test::unit_rows(150, 33, 41);
  std::vector<int32_t> self(150);
  for (size_t i = 0; i < self.size(); ++i) self[i] = static_cast<int32_t>(i);
  Neighbours got(150, 4);
  ASSERT_OK(backend->topk_cosine(x.view(), x.view(), self, self, got.out()));
  check(x.view(), x.view(), self, self, got, 40 * test::kRounding);
  for (int64_t i = 0; i < 150; ++i) {
    for (int64_t j = 0; j < 4; ++j) ASSERT_NE(got.index(i, j), i);
  }
}

TEST_P(TopKCosine, SameBytesForAnyNumberOfThreadsAndAnyBatch) {
  const int64_t n = 331, m = 419, d = 401, k = 7;
  const Matrix<float> q = test::unit_rows(n, d, 51), r = test::unit_rows(m, d, 52);
  Neighbours reference(n, k);
  ASSERT_OK(test::make(GetParam(), 1)->topk_cosine(q.view(), r.view(), {}, {}, reference.out()));
  for (const int threads : {2, 3}) {
    Neighbours got(n, k);
    ASSERT_OK(test::make(GetParam(), threads)->topk_cosine(q.view(), r.view(), {}, {}, got.out()));
    ASSERT_TRUE(test::same_bytes(got.index, reference.index)) << threads;
    ASSERT_TRUE(test::same_bytes(got.similarity, reference.similarity)) << threads;
  }
  for (int64_t i = 0; i < n; i += 29) {
    Neighbours one(1, k);
    ASSERT_OK(backend->topk_cosine(q.view().rows_from(i, 1), r.view(), {}, {}, one.out()));
    for (int64_t j = 0; j < k; ++j) {
      ASSERT_EQ(one.index(0, j), reference.index(i, j));
      ASSERT_EQ(one.similarity(0, j), reference.similarity(i, j));
    }
  }
}

TEST_P(TopKCosine, StridedViews) {
  test::Padded<float> q(37, 19, 9.0f), r(83, 19, 9.0f), similarity(37, 6, 9.0f);
  test::Padded<int32_t> index(37, 6, 99);
  std::mt19937 rng(61);
  test::fill_uniform(q.view(), rng);
  test::fill_uniform(r.view(), rng);
  ASSERT_OK(backend->topk_cosine(q.view(), r.view(), {}, {}, {index.view(), similarity.view()}));
  EXPECT_TRUE(index.guards_intact());
  EXPECT_TRUE(similarity.guards_intact());
  Neighbours got(37, 6);
  for (int64_t i = 0; i < 37; ++i) {
    for (int64_t j = 0; j < 6; ++j) {
      got.index(i, j) = index.view()(i, j);
      got.similarity(i, j) = similarity.view()(i, j);
    }
  }
  check(q.view(), r.view(), {}, {}, got, 19 * 21 * test::kRounding);  // sum of |products| <= 19
}

TEST_P(TopKCosine, RefusesShapesThatDoNotFit) {
  Matrix<float> q(3, 4), r(5, 4), wide(5, 6);
  Neighbours fits(3, 2), deep(3, 65), tall(4, 2);
  const std::vector<int32_t> three(3), four(4);
  EXPECT_EQ(backend->topk_cosine(q.view(), wide.view(), {}, {}, fits.out()).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->topk_cosine(q.view(), r.view(), {}, {}, deep.out()).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->topk_cosine(q.view(), r.view(), {}, {}, tall.out()).code(), ErrorCode::kInternal);
  EXPECT_EQ(backend->topk_cosine(q.view(), r.view(), three, four, fits.out()).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
