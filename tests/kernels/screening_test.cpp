// Searching prepared references gives, bit for bit, what the float32 search gives, whatever the data do to the bounds
// of the screen. Where the instruction set has no screen the two are the same code.
#include <cmath>
#include <functional>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

class Screening : public test::OnEveryIsa {
 protected:
  bool screens() const {
    return GetParam() == "avx512_vnni" || GetParam() == "avx512_bf16" || GetParam() == "avx512_amx";
  }
};
TRACER_ON_EVERY_ISA(Screening);

struct Neighbours {
  Neighbours(int64_t queries, int64_t k) : index(queries, k), similarity(queries, k) {}
  TopK out() { return {index.view(), similarity.view()}; }
  Matrix<int32_t> index;
  Matrix<float> similarity;
};

struct Data {
  Matrix<float> q, r;
  std::vector<int32_t> q_group, r_group;
};

// Fewer queries a call than pay for a screen: the float32 search.
void search_plainly(Backend& backend, const Data& data, Neighbours& out) {
  const int64_t k = out.index.cols();
  for (int64_t i = 0; i < data.q.rows(); i += 100) {
    const int64_t n = std::min<int64_t>(100, data.q.rows() - i);
    std::span<const int32_t> group = data.q_group;
    if (!group.empty()) group = group.subspan(static_cast<size_t>(i), static_cast<size_t>(n));
    ASSERT_OK(backend.topk_cosine(
        data.q.view().rows_from(i, n), data.r.view(), group, data.r_group,
        {HostMatrix<int32_t>(out.index.row(i), n, k), HostMatrix<float>(out.similarity.row(i), n, k)}));
  }
}

// Returns how the screened search went.
TopKReport expect_same(Backend& backend, const Data& data, int64_t k) {
  TopKReport report;
  Neighbours expected(data.q.rows(), k), got(data.q.rows(), k);
  search_plainly(backend, data, expected);
  const auto references = backend.prepare_references(data.r.view(), {data.r_group, {}});
  EXPECT_TRUE(references.ok());
  const Status status = backend.topk_cosine(data.q.view(), **references, data.q_group, got.out(), {}, &report);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(test::same_bytes(got.index, expected.index));
  EXPECT_TRUE(test::same_bytes(got.similarity, expected.similarity));
  EXPECT_EQ(report.queries, data.q.rows());
  return report;
}

void scale_rows(Matrix<float>& x, const std::function<float(int64_t)>& factor) {
  for (int64_t i = 0; i < x.rows(); ++i) {
    for (int64_t j = 0; j < x.cols(); ++j) x(i, j) *= factor(i);
  }
}

void normalise(Matrix<float>& x) {
  for (int64_t i = 0; i < x.rows(); ++i) {
    double sum = 0;
    for (int64_t j = 0; j < x.cols(); ++j) sum += static_cast<double>(x(i, j)) * x(i, j);
    for (int64_t j = 0; j < x.cols(); ++j) x(i, j) = static_cast<float>(x(i, j) / std::sqrt(sum));
  }
}

// Unit rows around `centres` in a space of `rank` directions, off it by `noise`: what embeddings look like.
Matrix<float> clustered(int64_t n, int64_t d, int64_t rank, int64_t centres, float spread, float noise, uint32_t seed) {
  const Matrix<float> directions = test::unit_rows(rank, d, 1), centre = test::uniform(centres, rank, 2);
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> jitter(-1, 1);
  Matrix<float> x(n, d);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = static_cast<int64_t>(rng() % static_cast<uint32_t>(centres));
    for (int64_t t = 0; t < rank; ++t) {
      const float along = centre(c, t) + spread * jitter(rng);
      for (int64_t j = 0; j < d; ++j) x(i, j) += along * directions(t, j);
    }
    for (int64_t j = 0; j < d; ++j) x(i, j) += noise * jitter(rng);
  }
  normalise(x);
  return x;
}

TEST_P(Screening, AtEveryEdge) {
  // Around: the fewest references that are screened, a panel of 32, tiles of 12 queries, blocks of 768 queries and of
  // 96 projected rows, groups of 4 dimensions, blocks of 384 dimensions.
  const std::vector<std::array<int64_t, 4>> cases = {
      {5, 255, 16, 3},     {1, 256, 1, 1},     {2, 257, 3, 64},   {11, 287, 4, 5},    {12, 288, 5, 10},
      {13, 289, 383, 15},  {95, 400, 384, 10}, {97, 500, 385, 7}, {767, 700, 64, 10}, {769, 701, 63, 15},
      {1601, 307, 40, 12}, {7, 331, 4096, 64}, {25, 1009, 769, 1}};
  for (const auto& [n, m, d, k] : cases) {
    SCOPED_TRACE(testing::Message() << n << " queries, " << m << " references, d " << d << ", k " << k);
    Data data{test::unit_rows(n, d, 11), test::unit_rows(m, d, 12), {}, test::integers(m, 3, 14)};
    const TopKReport report = expect_same(*backend, data, k);
    EXPECT_EQ(report.screened, screens() && m >= 256);
    data.q_group = test::integers(n, 3, 13);
    expect_same(*backend, data, k);
  }
}

TEST_P(Screening, SettlesOrdinaryData) {
  // Projected, and not.
  for (const int64_t rank : {24, 384}) {
    SCOPED_TRACE(rank);
    Data data{clustered(700, 384, rank, 40, 0.4f, 0.02f, 21), clustered(4000, 384, rank, 40, 0.4f, 0.02f, 22), {}, {}};
    const TopKReport report = expect_same(*backend, data, 10);
    EXPECT_EQ(report.screened, screens());
    EXPECT_LE(report.rescanned, 7) << "one in a hundred";
  }
}

TEST_P(Screening, ThousandsOfReferencesThatTheBoundsCannotTellApart) {
  // All similarities of a query lie within 1e-4 of each other: no bound of 8 bits settles anything.
  const int64_t n = 50, m = 4000, d = 384;
  const Matrix<float> centre = test::unit_rows(1, d, 31);
  Data data{Matrix<float>(n, d), Matrix<float>(m, d), {}, {}};
  std::mt19937 rng(32);
  std::uniform_real_distribution<float> jitter(-1, 1);
  for (Matrix<float>* x : {&data.q, &data.r}) {
    for (int64_t i = 0; i < x->rows(); ++i) {
      for (int64_t j = 0; j < d; ++j) (*x)(i, j) = centre(0, j) + 3e-5f * jitter(rng);
    }
    normalise(*x);
  }
  double low = 2, high = -2;
  for (int64_t j = 0; j < m; ++j) {
    double s = 0;
    for (int64_t c = 0; c < d; ++c) s += static_cast<double>(data.q(0, c)) * data.r(j, c);
    low = std::min(low, s);
    high = std::max(high, s);
  }
  ASSERT_LT(high - low, 1e-4);
  const TopKReport report = expect_same(*backend, data, 10);
  EXPECT_EQ(report.rescanned, screens() ? n : 0) << "left to the float32 search, and said so";
}

TEST_P(Screening, FewLoseThemselvesInACrowd) {
  // The crowd is far from most queries: they are settled, and those inside it are not.
  const int64_t m = 4000, d = 128;
  Data data{test::unit_rows(60, d, 41), test::unit_rows(m, d, 42), {}, {}};
  for (int64_t i = 0; i < m; i += 2) {
    for (int64_t j = 0; j < d; ++j) data.r(i, j) = data.r(0, j) + 1e-5f * static_cast<float>((i * 31 + j * 17) % 7);
  }
  for (int64_t i = 0; i < 60; i += 6) std::copy_n(data.r.row(0), d, data.q.row(i));
  normalise(data.r);
  const TopKReport report = expect_same(*backend, data, 10);
  if (screens()) {
    EXPECT_GE(report.rescanned, 10);
    EXPECT_LT(report.rescanned, 60);
  }
}

TEST_P(Screening, ManyExactDuplicates) {
  // Ties of more references than k, which only the index decides; more copies than there is room for candidates.
  for (const int64_t copies : {3, 40, 500}) {
    SCOPED_TRACE(copies);
    const int64_t m = 2000, d = 96;
    const Matrix<float> distinct = test::unit_rows(m / copies + 1, d, 51);
    Data data{Matrix<float>(64, d), Matrix<float>(m, d), {}, {}};
    for (int64_t i = 0; i < m; ++i) std::copy_n(distinct.row((i * 7919) % (m / copies + 1)), d, data.r.row(i));
    for (int64_t i = 0; i < 64; ++i) std::copy_n(distinct.row(i % (m / copies + 1)), d, data.q.row(i));
    for (const int64_t k : {1, 10, 64}) expect_same(*backend, data, k);
  }
}

TEST_P(Screening, RowsOfUnevenShape) {
  const int64_t n = 120, m = 900, d = 200;
  Data data{test::unit_rows(n, d, 61), test::unit_rows(m, d, 62), {}, {}};
  // One coordinate far larger than the others; lengths over nine orders of magnitude; rows of zeros; rows too long for
  // the bounds (queries only: one such reference turns screening off).
  for (int64_t i = 0; i < m; ++i) data.r(i, 17) += i % 3 == 0 ? 3.0f : 0.0f;
  for (int64_t i = 0; i < n; ++i) data.q(i, 17) -= i % 5 == 0 ? 2.0f : 0.0f;
  const float lengths[] = {1, 1e-6f, 0, 30, 1e-3f, 200, 0.5f};
  scale_rows(data.r, [&](int64_t i) { return i < m - 300 ? 1.0f : lengths[i % 7]; });
  const float wide[] = {1, 1e-6f, 0, 30, 1e-3f, 1e6f, 0.5f, 1e-30f, 1e20f};
  scale_rows(data.q, [&](int64_t i) { return i < 60 ? 1.0f : wide[i % 9]; });
  EXPECT_EQ(expect_same(*backend, data, 10).screened, screens());
  data.r(5, 3) = 1e6f;
  EXPECT_FALSE(expect_same(*backend, data, 10).screened);
}

TEST_P(Screening, IntegersInFloats) {
  // Similarities are small integers, exact in float32 and full of ties; quantisation is exact for some rows only.
  Data data{Matrix<float>(150, 24), Matrix<float>(1500, 24), test::integers(150, 4, 73), test::integers(1500, 4, 74)};
  std::mt19937 rng(71);
  for (Matrix<float>* x : {&data.q, &data.r}) {
    for (int64_t i = 0; i < x->size(); ++i) x->data()[i] = static_cast<float>(static_cast<int>(rng() % 7) - 3);
  }
  for (const int64_t k : {1, 15, 64}) expect_same(*backend, data, k);
}

TEST_P(Screening, ARowIsNotItsOwnNeighbour) {
  const Matrix<float> x = clustered(1100, 48, 12, 9, 0.3f, 0.05f, 81);
  Data data{x.clone(), x.clone(), {}, {}};
  for (int32_t i = 0; i < 1100; ++i) data.q_group.push_back(i);
  data.r_group = data.q_group;
  expect_same(*backend, data, 6);
  // Through the one-shot search too, which prepares a screen when there are queries enough.
  Neighbours expected(1100, 6), got(1100, 6);
  search_plainly(*backend, data, expected);
  ASSERT_OK(backend->topk_cosine(x.view(), x.view(), data.q_group, data.r_group, got.out()));
  EXPECT_TRUE(test::same_bytes(got.index, expected.index));
  EXPECT_TRUE(test::same_bytes(got.similarity, expected.similarity));
  for (int64_t i = 0; i < 1100; ++i) {
    for (int64_t j = 0; j < 6; ++j) ASSERT_NE(got.index(i, j), i);
  }
}

TEST_P(Screening, FewQueriesForeseenAreNotPreparedForAndFindTheSame) {
  const Data data{test::unit_rows(70, 48, 95), test::unit_rows(900, 48, 96), {}, {}};
  Neighbours expected(70, 9), got(70, 9);
  search_plainly(*backend, data, expected);
  const auto references = backend->prepare_references(data.r.view(), {{}, {}, 70});
  ASSERT_TRUE(references.ok());
  TopKReport report;
  ASSERT_OK(backend->topk_cosine(data.q.view(), **references, {}, got.out(), {}, &report));
  EXPECT_FALSE(report.screened);
  EXPECT_TRUE(test::same_bytes(got.index, expected.index));
  EXPECT_TRUE(test::same_bytes(got.similarity, expected.similarity));
}

TEST_P(Screening, FewerAdmissibleReferencesThanK) {
  Data data{test::unit_rows(90, 32, 91), test::unit_rows(600, 32, 92), test::integers(90, 3, 93), {}};
  data.r_group.assign(600, 2);
  data.r_group[17] = 0, data.r_group[400] = 1;
  expect_same(*backend, data, 10);
  data.r_group.assign(600, 1);
  data.q_group.assign(90, 1);
  expect_same(*backend, data, 10);
}

TEST_P(Screening, SameBytesForAnyNumberOfThreadsAndAnyBatch) {
  const Data data{
      clustered(1700, 384, 30, 20, 0.3f, 0.03f, 101), clustered(1300, 384, 30, 20, 0.3f, 0.03f, 102), {}, {}};
  Neighbours expected(1700, 10);
  search_plainly(*backend, data, expected);
  for (const int threads : {1, 2, 3}) {
    const std::unique_ptr<Backend> other = test::make(GetParam(), threads);
    const auto references = other->prepare_references(data.r.view(), {});
    ASSERT_OK(references.status());
    for (const int64_t batch : {1700, 769, 100, 1}) {
      Neighbours got(1700, 10);
      for (int64_t i = 0; i < 1700; i += batch) {
        if (batch == 1 && i % 97 != 0) {
          std::copy_n(expected.index.row(i), 10, got.index.row(i));
          std::copy_n(expected.similarity.row(i), 10, got.similarity.row(i));
          continue;
        }
        const int64_t n = std::min(batch, 1700 - i);
        ASSERT_OK(other->topk_cosine(
            data.q.view().rows_from(i, n), **references, {},
            {HostMatrix<int32_t>(got.index.row(i), n, 10), HostMatrix<float>(got.similarity.row(i), n, 10)}));
      }
      ASSERT_TRUE(test::same_bytes(got.index, expected.index)) << threads << " threads, batches of " << batch;
      ASSERT_TRUE(test::same_bytes(got.similarity, expected.similarity));
    }
  }
}

}  // namespace
}  // namespace tracer
