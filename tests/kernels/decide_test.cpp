// Probabilities of a softmax regression, and what is decided from probabilities and a vote.
#include <algorithm>
#include <limits>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;

class Decide : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Decide);

struct Route {
  Route(int64_t n, int64_t d, int64_t classes, int64_t k, uint32_t seed)
      : x(n, d, 3.5f),
        w(d, classes, 3.5f),
        b(static_cast<size_t>(classes)),
        reference_label(test::integers(97, static_cast<int32_t>(classes), seed)),
        neighbour(n, k, 1 << 30),
        similarity(n, k, 3.5f) {
    std::mt19937 rng(seed + 1);
    test::fill_uniform(x.view(), rng);
    test::fill_uniform(w.view(), rng);
    std::uniform_real_distribution<float> dist(-1.0f, 1.0f);
    for (float& v : b) v = dist(rng);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<float> s(static_cast<size_t>(k));
      for (float& v : s) v = 0.6f + 0.4f * dist(rng);
      if (i % 5 == 4 && k > 1) s[0] = -0.25f;
      std::sort(s.rbegin(), s.rend());
      // Rows with fewer neighbours than k, and with none.
      const int64_t have = i % 3 == 0 ? k : static_cast<int64_t>(rng() % static_cast<uint32_t>(k + 1));
      for (int64_t j = 0; j < k; ++j) {
        neighbour.view()(i, j) = j < have ? static_cast<int32_t>(rng() % 97) : -1;
        similarity.view()(i, j) = j < have ? s[static_cast<size_t>(j)] : -2.0f;
      }
    }
  }
  NeighbourVote vote() const { return {neighbour.view(), similarity.view(), reference_label, weight, sharpness}; }
  int64_t n() const { return x.view().rows; }
  int64_t classes() const { return w.view().cols; }

  test::Padded<float> x, w;
  std::vector<float> b;
  std::vector<int32_t> reference_label;
  test::Padded<int32_t> neighbour;
  test::Padded<float> similarity;
  float weight = 0.3f;
  float sharpness = 4.0f;
};

std::vector<double> softmax(const Route& r, int64_t i, double* size) {
  std::vector<double> z(static_cast<size_t>(r.classes()));
  for (int64_t c = 0; c < r.classes(); ++c) {
    const double bias = r.b[static_cast<size_t>(c)];
    double sum = bias, total = std::fabs(bias);
    for (int64_t k = 0; k < r.x.view().cols; ++k) {
      const double term = static_cast<double>(r.x.view()(i, k)) * r.w.view()(k, c);
      sum += term;
      total += std::fabs(term);
    }
    const bool removed = bias <= -1e4;
    z[static_cast<size_t>(c)] = removed ? -std::numeric_limits<double>::infinity() : sum;
    if (!removed) *size = std::max(*size, total);
  }
  const double max = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (double& v : z) sum += v = std::exp(v - max);
  for (double& v : z) v /= sum;
  return z;
}

struct Expected {
  std::vector<double> p, softmax, vote;
  double nearest = -2, distance = 2;
  std::vector<int64_t> carried;  // neighbours of each class
  int64_t available = 0;
};

Expected expect(const Route& r, int64_t i, const std::vector<double>& member) {
  Expected e;
  e.softmax = member;
  e.carried.assign(member.size(), 0);
  std::vector<double> votes(member.size(), 0.0);
  double total = 0, distance = 0;
  for (int64_t j = 0; j < r.neighbour.view().cols; ++j) {
    const int32_t index = r.neighbour.view()(i, j);
    if (index < 0) continue;
    const double s = r.similarity.view()(i, j);
    const size_t label = static_cast<size_t>(r.reference_label[static_cast<size_t>(index)]);
    const double v = std::pow(s > 0 ? s : 0, static_cast<double>(r.sharpness));
    votes[label] += v;
    total += v;
    if (e.available == 0) e.nearest = s;
    if (e.available < 10) distance += 1 - s;
    ++e.available;
    ++e.carried[label];
  }
  if (e.available > 0) e.distance = distance / static_cast<double>(std::min<int64_t>(10, e.available));
  e.vote = e.softmax;
  if (total > 0) {
    for (size_t c = 0; c < votes.size(); ++c) e.vote[c] = votes[c] / total;
  }
  for (size_t c = 0; c < votes.size(); ++c) {
    e.p.push_back((1.0 - static_cast<double>(r.weight)) * e.softmax[c] + static_cast<double>(r.weight) * e.vote[c]);
  }
  return e;
}

void check_row(const Expected& e, const DecisionFeatures& f, double tolerance) {
  const size_t classes = e.p.size();
  ASSERT_GE(f.label, 0);
  ASSERT_LT(static_cast<size_t>(f.label), classes);
  const size_t label = static_cast<size_t>(f.label);
  std::vector<double> sorted = e.p;
  std::sort(sorted.rbegin(), sorted.rend());
  // The label is the argmax, or within the error of it.
  ASSERT_TRUE(near(e.p[label], sorted[0], 2 * tolerance));
  ASSERT_TRUE(near(f.top1, sorted[0], tolerance));
  ASSERT_TRUE(near(f.top2, classes > 1 ? sorted[1] : 0.0, tolerance));
  double entropy = 0;
  for (const double p : e.p) entropy -= p > 0 ? p * std::log(p) : 0.0;
  if (classes > 1) entropy /= std::log(static_cast<double>(classes));
  // d(-p ln p) = -(1 + ln p) dp with |dp| <= tolerance p (the error of p is relative): the sum is at most
  // (1 + entropy ln C) tolerance; the logarithm and the sum add less than 2e-6.
  ASSERT_TRUE(near(f.entropy, classes > 1 ? entropy : 0.0, 2 * tolerance + 2e-6));
  ASSERT_TRUE(near(f.softmax_p, e.softmax[label], tolerance));
  ASSERT_TRUE(near(f.vote_p, e.vote[label], tolerance));
  const double share = e.available > 0 ? static_cast<double>(e.carried[label]) / static_cast<double>(e.available) : 0.0;
  ASSERT_TRUE(near(f.vote_share, share, test::kRounding));
  ASSERT_EQ(f.nearest, static_cast<float>(e.nearest));
  ASSERT_TRUE(near(f.mean_distance_10, e.distance, 2 * test::kRounding * e.distance));
}

Status probabilities(Backend& backend, const Route& r, HostMatrix<float> out) {
  TRACER_ASSIGN_OR_RETURN(const auto head, backend.prepare_head(r.w.view(), r.b));
  return backend.head_probabilities(r.x.view(), *head, out);
}

// See wide_softmax_test.cpp: error of a softmax over logits of size S.
double tolerance_of(const Route& r, double size) {
  return 2.02 * static_cast<double>(r.x.view().cols + 3) * test::kRounding * size + 1e-6;
}

TEST_P(Decide, MatchesTheOracleAtEveryEdge) {
  const std::vector<std::array<int64_t, 4>> cases = {
      // rows, d, classes, k
      {0, 3, 2, 1},     {1, 1, 1, 0},       {1, 0, 3, 2},     {5, 2, 2, 1},     {47, 3, 3, 5},
      {48, 4, 4, 0},    {49, 5, 7, 10},     {53, 6, 8, 11},   {97, 7, 9, 12},   {101, 8, 15, 3},
      {11, 9, 16, 64},  {12, 10, 17, 10},   {13, 11, 24, 7},  {14, 12, 31, 5},  {15, 13, 32, 5},
      {16, 384, 33, 5}, {17, 385, 150, 20}, {65, 33, 77, 15}, {40, 383, 31, 9}, {9, 771, 1000, 2}};
  uint32_t seed = 0;
  for (const auto& [n, d, classes, k] : cases) {
    SCOPED_TRACE(testing::Message() << n << " rows, d " << d << ", " << classes << " classes, k " << k);
    Route r(n, d, classes, k, seed += 3);
    test::Padded<float> probability(n, classes, 9.0f), given(n, classes, 9.0f);
    ASSERT_OK(probabilities(*backend, r, probability.view()));
    ASSERT_TRUE(probability.guards_intact());
    std::vector<std::vector<double>> s;
    for (int64_t i = 0; i < n; ++i) {
      double size = 0;
      s.push_back(softmax(r, i, &size));
      for (int64_t c = 0; c < classes; ++c) {
        ASSERT_TRUE(near(probability.view()(i, c), s.back()[static_cast<size_t>(c)], tolerance_of(r, size)));
        given.view()(i, c) = static_cast<float>(s.back()[static_cast<size_t>(c)]);
      }
    }
    for (const float weight : {0.0f, 0.3f, 1.0f}) {
      for (const float sharpness : {0.0f, 1.0f, 7.5f}) {
        SCOPED_TRACE(testing::Message() << "weight " << weight << ", sharpness " << sharpness);
        r.weight = weight;
        r.sharpness = sharpness;
        std::vector<DecisionFeatures> out(static_cast<size_t>(n));
        ASSERT_OK(backend->decision_features_from(given.view(), r.vote(), out));
        for (size_t i = 0; i < out.size(); ++i) {
          check_row(expect(r, static_cast<int64_t>(i), s[i]), out[i], 2e-6);
          if (weight > 0) continue;
          ASSERT_EQ(out[i].top1, given.view()(static_cast<int64_t>(i), out[i].label));
        }
      }
    }
  }
}

TEST_P(Decide, RemovedClassesHaveNoProbability) {
  Route r(60, 5, 18, 0, 5);
  for (const size_t c : {0, 4, 17}) r.b[c] = kRemovedBias;
  r.b[3] = -9999.0f;  // just above the limit: a class like any other, and hopeless
  Matrix<float> probability(60, 18);
  ASSERT_OK(probabilities(*backend, r, probability.view()));
  for (int64_t i = 0; i < 60; ++i) {
    for (const int64_t c : {0, 4, 17}) ASSERT_EQ(probability(i, c), 0.0f);
    double size = 0;
    const std::vector<double> p = softmax(r, i, &size);
    for (int64_t c = 0; c < 18; ++c) ASSERT_TRUE(near(probability(i, c), p[static_cast<size_t>(c)], 2e-3));
  }
}

TEST_P(Decide, TiesGoToTheLowerClass) {
  const int64_t classes = 21;
  Matrix<float> p(3, classes);
  for (int64_t c = 0; c < classes; ++c) p(0, c) = 1.0f / 32.0f;  // all equal
  p(1, 7) = p(1, 20) = 0.5f;
  p(2, 19) = p(2, 20) = 0.25f;
  p(2, 3) = 0.125f;
  Matrix<int32_t> none(3, 0);
  Matrix<float> no_similarity(3, 0);
  const NeighbourVote in{none.view(), no_similarity.view(), {}, 0.0f, 1.0f};
  std::vector<DecisionFeatures> out(3);
  ASSERT_OK(backend->decision_features_from(p.view(), in, out));
  EXPECT_EQ(out[0].label, 0);
  EXPECT_EQ(out[1].label, 7);
  EXPECT_EQ(out[2].label, 19);
  EXPECT_EQ(out[0].top2, out[0].top1);
  EXPECT_EQ(out[2].top2, 0.25f);
  EXPECT_EQ(out[1].nearest, -2.0f);
  EXPECT_EQ(out[1].mean_distance_10, 2.0f);
  EXPECT_EQ(out[1].vote_share, 0.0f);
  EXPECT_EQ(out[1].vote_p, out[1].softmax_p);
}

TEST_P(Decide, SameBytesForAnyNumberOfThreadsAndAnyBatch) {
  const Route r(203, 401, 37, 9, 15);
  const auto run = [&](Backend& b, Matrix<float>& p) {
    std::vector<DecisionFeatures> out(203);
    EXPECT_TRUE(probabilities(b, r, p.view()).ok());
    EXPECT_TRUE(b.decision_features_from(p.view(), r.vote(), out).ok());
    return out;
  };
  Matrix<float> p(203, 37), other(203, 37);
  const std::vector<DecisionFeatures> reference = run(*test::make(GetParam(), 1), p);
  for (const int threads : {2, 3, 7}) {
    EXPECT_TRUE(test::same_bytes(run(*test::make(GetParam(), threads), other), reference));
    EXPECT_TRUE(test::same_bytes(other, p));
  }
  const auto head = backend->prepare_head(r.w.view(), r.b);
  ASSERT_TRUE(head.ok());
  for (const int64_t count : {1, 16, 31}) {
    for (int64_t i = 0; i + count <= 203; i += 13) {
      NeighbourVote vote = r.vote();
      vote.neighbour = vote.neighbour.rows_from(i, count);
      vote.similarity = vote.similarity.rows_from(i, count);
      Matrix<float> some(count, 37);
      std::vector<DecisionFeatures> out(static_cast<size_t>(count));
      ASSERT_OK(backend->head_probabilities(r.x.view().rows_from(i, count), **head, some.view()));
      EXPECT_TRUE(std::equal(some.data(), some.data() + some.size(), p.row(i))) << "row " << i;
      ASSERT_OK(backend->decision_features_from(some.view(), vote, out));
      EXPECT_TRUE(test::same_bytes(out, {reference.begin() + i, reference.begin() + i + count})) << "row " << i;
    }
  }
}

TEST_P(Decide, RefusesWhatDoesNotFit) {
  Route r(4, 3, 5, 2, 35);
  Matrix<float> p(4, 5), narrow(4, 4), low(3, 5);
  const auto head = backend->prepare_head(r.w.view(), r.b);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ((*head)->dimension(), 3);
  EXPECT_EQ((*head)->classes(), 5);
  ASSERT_OK(backend->head_probabilities(r.x.view(), **head, p.view()));
  const auto code = [&](HostMatrix<const float> x, HostMatrix<float> out) {
    return backend->head_probabilities(x, **head, out).code();
  };
  EXPECT_EQ(code(r.x.view(), narrow.view()), ErrorCode::kInternal);
  EXPECT_EQ(code(r.x.view(), low.view()), ErrorCode::kInternal);
  EXPECT_EQ(code(test::uniform(4, 4, 1).view(), p.view()), ErrorCode::kInternal);
  const auto other = test::make(test::isas().front() == GetParam() ? "portable" : test::isas().front(), 1);
  if (other->isa() != GetParam() && GetParam() != "avx512_vnni") {  // avx512_bf16 has that one's loops
    EXPECT_EQ(other->head_probabilities(r.x.view(), **head, p.view()).code(), ErrorCode::kInternal);
  }
  const auto refusal = [&](HostMatrix<const float> w, const std::vector<float>& b) {
    return backend->prepare_head(w, b).status().code();
  };
  EXPECT_EQ(refusal(r.w.view(), std::vector<float>(4, 0.0f)), ErrorCode::kInternal);
  EXPECT_EQ(refusal(r.w.view(), std::vector<float>(5, kRemovedBias)), ErrorCode::kInternal);
  EXPECT_EQ(refusal({nullptr, 3, 0}, {}), ErrorCode::kInternal);

  std::vector<DecisionFeatures> out(4), short_out(3);
  const auto decide = [&](std::span<DecisionFeatures> features) {
    return backend->decision_features_from(p.view(), r.vote(), features).code();
  };
  EXPECT_EQ(decide(out), ErrorCode::kOk);
  EXPECT_EQ(decide(short_out), ErrorCode::kInternal);
  r.neighbour.view()(1, 0) = 97;
  EXPECT_EQ(decide(out), ErrorCode::kInternal);
  r.neighbour.view()(1, 0) = 0;
  r.neighbour.view()(0, 0) = 50;
  r.reference_label[50] = 5;
  EXPECT_EQ(decide(out), ErrorCode::kInternal);
}

}  // namespace
}  // namespace tracer
