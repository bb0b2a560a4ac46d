// Searching prepared references: the same bytes as searching the rows themselves, with a summary.
#include <algorithm>
#include <map>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

class PreparedReferences : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(PreparedReferences);

struct Neighbours {
  Neighbours(int64_t queries, int64_t k) : index(queries, k), similarity(queries, k) {}
  TopK out() { return {index.view(), similarity.view()}; }
  Matrix<int32_t> index;
  Matrix<float> similarity;
};

TEST_P(PreparedReferences, GiveTheSameBytesAsTheRows) {
  const std::vector<std::array<int64_t, 4>> cases = {{0, 5, 3, 2},     {1, 0, 3, 2},      {1, 1, 1, 1},
                                                     {1, 5, 3, 0},     {3, 70, 13, 64},   {33, 101, 384, 10},
                                                     {65, 97, 385, 7}, {259, 307, 40, 12}};
  for (const auto& [n, m, d, k] : cases) {
    SCOPED_TRACE(testing::Message() << n << " queries, " << m << " references, d " << d << ", k " << k);
    const Matrix<float> q = test::unit_rows(n, d, 11), r = test::unit_rows(m, d, 12);
    const std::vector<int32_t> qg = test::integers(n, 3, 13), rg = test::integers(m, 3, 14);
    Neighbours expected(n, k), got(n, k);
    Result<std::unique_ptr<References>> references = backend->prepare_references(r.view(), {rg, {}});
    ASSERT_OK(references.status());
    ASSERT_EQ((*references)->rows(), m);
    ASSERT_EQ((*references)->cols(), d);
    for (const bool grouped : {false, true}) {
      const std::vector<int32_t> g = grouped ? qg : std::vector<int32_t>();
      ASSERT_OK(backend->topk_cosine(q.view(), r.view(), g, rg, expected.out()));
      TopKReport report;
      ASSERT_OK(backend->topk_cosine(q.view(), **references, g, got.out(), {}, &report));
      ASSERT_TRUE(test::same_bytes(got.index, expected.index));
      ASSERT_TRUE(test::same_bytes(got.similarity, expected.similarity));
      EXPECT_EQ(report.queries, n);
      EXPECT_LE(report.rescanned, n);
    }
  }
}

TEST_P(PreparedReferences, SummariseTheNeighbours) {
  const int64_t n = 90, m = 140, d = 24;
  const Matrix<float> q = test::unit_rows(n, d, 21), r = test::unit_rows(m, d, 22);
  const std::vector<int32_t> label = test::integers(m, 5, 23), qg = test::integers(n, 2, 24);
  std::vector<int32_t> rg(static_cast<size_t>(m), 1);  // half of the queries have no neighbour
  Result<std::unique_ptr<References>> references = backend->prepare_references(r.view(), {rg, label});
  ASSERT_OK(references.status());
  for (const int64_t k : {1, 4, 10, 17}) {
    Neighbours got(n, k);
    std::vector<NeighbourSummary> summary(static_cast<size_t>(n));
    ASSERT_OK(backend->topk_cosine(q.view(), **references, qg, got.out(), summary));
    for (int64_t i = 0; i < n; ++i) {
      const NeighbourSummary& s = summary[static_cast<size_t>(i)];
      if (qg[static_cast<size_t>(i)] == 1) {
        ASSERT_EQ(s.nearest, -2.0f);
        ASSERT_EQ(s.mean_distance_10, 2.0f);
        ASSERT_EQ(s.vote, -1);
        ASSERT_EQ(s.vote_share, 0.0f);
        continue;
      }
      std::map<int32_t, int> votes;
      double distance = 0;
      for (int64_t j = 0; j < k; ++j) {
        ++votes[label[static_cast<size_t>(got.index(i, j))]];
        if (j < 10) distance += 1.0 - static_cast<double>(got.similarity(i, j));
      }
      const auto most = std::max_element(votes.begin(), votes.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      ASSERT_EQ(s.nearest, got.similarity(i, 0));
      ASSERT_TRUE(test::near(s.mean_distance_10, distance / static_cast<double>(std::min<int64_t>(k, 10)), 1e-6));
      ASSERT_EQ(s.vote, most->first);  // the first of equal counts: the lower label
      ASSERT_TRUE(test::near(s.vote_share, static_cast<double>(most->second) / static_cast<double>(k), 1e-7));
    }
  }
}

TEST_P(PreparedReferences, AreTheBackendsOwnCopy) {
  Matrix<float> r = test::unit_rows(50, 8, 31);
  const Matrix<float> q = test::unit_rows(9, 8, 32);
  Neighbours before(9, 3), after(9, 3);
  Result<std::unique_ptr<References>> references = backend->prepare_references(r.view(), {});
  ASSERT_OK(references.status());
  ASSERT_OK(backend->topk_cosine(q.view(), **references, {}, before.out()));
  std::fill_n(r.data(), r.size(), 7.0f);
  ASSERT_OK(backend->topk_cosine(q.view(), **references, {}, after.out()));
  EXPECT_TRUE(test::same_bytes(after.index, before.index));
}

class Foreign final : public References {
 public:
  int64_t rows() const override { return 5; }
  int64_t cols() const override { return 4; }
};

TEST_P(PreparedReferences, RefuseShapesThatDoNotFit) {
  const Matrix<float> q(3, 4), wide(3, 6), r(5, 4);
  Neighbours fits(3, 2), deep(3, 65), tall(4, 2);
  std::vector<NeighbourSummary> four(4);
  const std::vector<int32_t> group3(3), group4(4), group5(5), negative = {0, 1, -1, 0, 0};
  const auto code = [](const Status& s) { return s.code(); };
  EXPECT_EQ(code(backend->prepare_references(r.view(), {group4, {}}).status()), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->prepare_references(r.view(), {{}, group4}).status()), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->prepare_references(r.view(), {{}, negative}).status()), ErrorCode::kInternal);
  Result<std::unique_ptr<References>> made = backend->prepare_references(r.view(), {group5, {}});
  ASSERT_OK(made.status());
  const References& references = **made;
  EXPECT_EQ(code(backend->topk_cosine(wide.view(), references, {}, fits.out())), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->topk_cosine(q.view(), references, {}, deep.out())), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->topk_cosine(q.view(), references, {}, tall.out())), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->topk_cosine(q.view(), references, group4, fits.out())), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->topk_cosine(q.view(), references, {}, fits.out(), four)), ErrorCode::kInternal);
  EXPECT_EQ(code(backend->topk_cosine(q.view(), Foreign(), {}, fits.out())), ErrorCode::kInternal);
  ASSERT_OK(backend->topk_cosine(q.view(), references, group3, fits.out()));
}

}  // namespace
}  // namespace tracer
