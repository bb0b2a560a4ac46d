// Same inputs, same decisions: every backend beside the best instruction set of the CPU. What rounding may change is
// compared within a band; what decides a row outside of it has to be equal, and what is integer always.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;

std::unique_ptr<Backend> reference_backend() {
  BackendOptions options;
  options.device = "cpu";
  options.threads = 2;
  return std::move(make_backend(options)).value();
}

// Two chains of at most d = 97 fma's, or of products and sums, of values below 1 a term; and exp's error on top.
constexpr double kBand = 1e-5;

class SameDecisions : public test::OnEveryIsa {
 protected:
  std::unique_ptr<Backend> reference = reference_backend();
};

TEST_P(SameDecisions, Neighbours) {
  const Matrix<float> q = test::unit_rows(70, 97, 1), r = test::unit_rows(333, 97, 2);
  const std::vector<int32_t> label = test::integers(333, 9, 3);
  Matrix<int32_t> index(70, 10), expected_index(70, 10);
  Matrix<float> score(70, 10), expected_score(70, 10);
  std::vector<NeighbourSummary> summary(70), expected(70);
  const auto search = [&](Backend& b, TopK out, std::span<NeighbourSummary> sums) {
    const auto references = b.prepare_references(HostMatrix<const float>(r.view()), {{}, label});
    ASSERT_TRUE(references.ok()) << references.status().message();
    ASSERT_OK(b.topk_cosine(HostMatrix<const float>(q.view()), **references, {}, out, sums, nullptr));
  };
  search(*reference, {expected_index.view(), expected_score.view()}, expected);
  search(*backend, {index.view(), score.view()}, summary);
  for (int64_t i = 0; i < 70; ++i) {
    for (int64_t j = 0; j < 10; ++j) ASSERT_TRUE(near(score(i, j), expected_score(i, j), kBand));
    // Neighbours further apart than the band are in the same places.
    bool apart = true;
    for (int64_t j = 1; j < 10; ++j) apart = apart && expected_score(i, j - 1) - expected_score(i, j) > 2 * kBand;
    if (apart && std::equal(index.row(i), index.row(i) + 9, expected_index.row(i))) continue;
    ASSERT_FALSE(apart) << "row " << i;
  }
  // Where both fuse multiply and add, every byte is the same.
  if (backend->isa() == "portable" || reference->isa() == "portable") return;
  EXPECT_TRUE(test::same_bytes(index, expected_index));
  EXPECT_TRUE(test::same_bytes(score, expected_score));
  for (size_t i = 0; i < summary.size(); ++i) EXPECT_EQ(summary[i].vote, expected[i].vote);
}

TEST_P(SameDecisions, Features) {
  const int64_t n = 60, d = 97, classes = 40;
  const Matrix<float> x = test::uniform(n, d, 1), w = test::uniform(d, classes, 2),
                      similarity = test::uniform(n, 5, 4, 0.1f, 1.0f);
  Matrix<int32_t> neighbour(n, 5);
  const std::vector<int32_t> picks = test::integers(n * 5, 30, 5), label = test::integers(30, 40, 6);
  std::copy(picks.begin(), picks.end(), neighbour.data());
  const std::vector<float> b(static_cast<size_t>(classes), 0.0f);
  const NeighbourVote vote{neighbour.view(), similarity.view(), label, 0.3f, 2.0f};
  const auto decide = [&](Backend& backend_here, std::vector<DecisionFeatures>& out) {
    const auto head = backend_here.prepare_head(w.view(), b);
    ASSERT_TRUE(head.ok());
    Matrix<float> p(n, classes);
    ASSERT_OK(backend_here.head_probabilities(HostMatrix<const float>(x.view()), **head, p.view()));
    ASSERT_OK(backend_here.decision_features_from(HostMatrix<const float>(p.view()), vote, out));
  };
  std::vector<DecisionFeatures> out(static_cast<size_t>(n)), expected(static_cast<size_t>(n));
  decide(*reference, expected);
  decide(*backend, out);
  int64_t decided = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_TRUE(near(out[i].top1, expected[i].top1, kBand));
    ASSERT_TRUE(near(out[i].top2, expected[i].top2, kBand));
    ASSERT_TRUE(near(out[i].entropy, expected[i].entropy, kBand));
    ASSERT_EQ(out[i].nearest, expected[i].nearest);
    if (expected[i].top1 - expected[i].top2 <= 2 * kBand) continue;  // the canonical recomputation's
    ++decided;
    ASSERT_EQ(out[i].label, expected[i].label);
    ASSERT_TRUE(near(out[i].vote_p, expected[i].vote_p, kBand));
    ASSERT_EQ(out[i].vote_share, expected[i].vote_share);
  }
  EXPECT_GT(decided, n / 2);
}

TEST_P(SameDecisions, ParityAndGroups) {
  std::vector<float> score(500);
  std::vector<uint8_t> agree(500);
  const std::vector<int32_t> draws = test::integers(500, 60, 7), flags = test::integers(500, 5, 8);
  for (size_t i = 0; i < 500; ++i) {
    score[i] = static_cast<float>(draws[i]) / 60.0f;
    agree[i] = flags[i] != 0;
  }
  const std::vector<int64_t> begin = {0, 100, 100, 500};
  Matrix<int32_t> allowed(2, 401);
  for (int64_t r = 0; r < 401; ++r) {
    allowed(0, r) = static_cast<int32_t>(r / 6) - 1;
    allowed(1, r) = static_cast<int32_t>(r / 4) - 1;
  }
  Matrix<ParityPoint> points(3, 2), expected(3, 2);
  ASSERT_OK(reference->parity_sweep({score, agree, begin, allowed.view()}, expected.view()));
  ASSERT_OK(backend->parity_sweep({score, agree, begin, allowed.view()}, points.view()));
  for (int64_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points.data()[i].handled, expected.data()[i].handled);
    EXPECT_EQ(points.data()[i].disagree, expected.data()[i].disagree);
    EXPECT_EQ(points.data()[i].score_next, expected.data()[i].score_next);
  }
  const Matrix<float> x = test::uniform(80, 19, 1);
  Matrix<float> centroid = test::uniform(7, 19, 2), moved = centroid.clone();
  std::vector<int32_t> label = test::integers(80, 7, 3);
  std::vector<int64_t> count(7), expected_count(7);
  ASSERT_OK(reference->kmeans_update(x.view(), label, moved.view(), expected_count));
  ASSERT_OK(backend->kmeans_update(x.view(), label, centroid.view(), count));
  EXPECT_TRUE(test::same_bytes(centroid, moved));
  EXPECT_EQ(count, expected_count);
}

TRACER_ON_EVERY_ISA(SameDecisions);

}  // namespace
}  // namespace tracer
