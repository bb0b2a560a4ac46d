// Ensembles of several members, both storages, the probability of each member, and the acceptor's score.
#include <algorithm>
#include <array>
#include <limits>

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using test::near;
using test::Padded;

class Members : public test::OnEveryIsa {};
TRACER_ON_EVERY_ISA(Members);

constexpr double kLowest = -std::numeric_limits<double>::infinity();

double rounded(float x) { return static_cast<double>(to_float(to_bfloat16(x))); }

struct Problem {
  Problem(int64_t n, int64_t d, int64_t classes, int64_t members, int64_t k, uint32_t seed)
      : x(n, d, 3.5f),
        label(test::integers(31, static_cast<int32_t>(classes), seed)),
        neighbour(n, k),
        similarity(n, k) {
    std::mt19937 rng(seed);
    test::fill_uniform(x.view(), rng);
    double total = 0;
    for (int64_t m = 0; m < members; ++m) {
      w.emplace_back(d, classes, 3.5f);
      test::fill_uniform(w.back().view(), rng);
      b.push_back({});
      for (int64_t c = 0; c < classes; ++c) {
        const bool removed = classes > 3 && (c + m) % 5 == 2;
        b.back().push_back(removed ? -1e4f : static_cast<float>(rng() % 1000) * 1e-3f);
      }
      weight.push_back(1.0f + static_cast<float>(m));
      total += 1 + static_cast<double>(m);
    }
    for (float& v : weight) v /= static_cast<float>(total);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        neighbour(i, j) = (i + j) % 4 == 3 ? -1 : static_cast<int32_t>(rng() % 31);
        similarity(i, j) = 1.0f - 0.07f * static_cast<float>(j) - 0.01f * static_cast<float>(i % 7);
      }
    }
  }

  std::vector<LinearMember> members() const {
    std::vector<LinearMember> all;
    for (size_t m = 0; m < w.size(); ++m) all.push_back({w[m].view(), b[m], weight[m]});
    return all;
  }
  NeighbourVote vote() const { return {neighbour.view(), similarity.view(), label, vote_weight, 3.0f}; }
  int64_t n() const { return x.view().rows; }
  int64_t classes() const { return static_cast<int64_t>(b[0].size()); }

  Padded<float> x;
  std::vector<Padded<float>> w;
  std::vector<std::vector<float>> b;
  std::vector<float> weight;
  std::vector<int32_t> label;
  Matrix<int32_t> neighbour;
  Matrix<float> similarity;
  float vote_weight = 0;
};

struct Expected {
  std::vector<std::vector<double>> member;
  std::vector<double> p;
  double size = 0;  // of the largest logit's terms
};

Expected expect(const Problem& q, int64_t i, Storage storage) {
  const auto value = [&](float v) { return storage == Storage::kBFloat16 ? rounded(v) : static_cast<double>(v); };
  const size_t classes = static_cast<size_t>(q.classes());
  Expected e;
  e.p.assign(classes, 0.0);
  for (size_t m = 0; m < q.w.size(); ++m) {
    std::vector<double> z(classes);
    double max = kLowest, sum = 0;
    for (size_t c = 0; c < classes; ++c) {
      double total = std::fabs(q.b[m][c]);
      z[c] = q.b[m][c];
      for (int64_t k = 0; k < q.x.view().cols; ++k) {
        const double term = value(q.x.view()(i, k)) * value(q.w[m].view()(k, static_cast<int64_t>(c)));
        z[c] += term;
        total += std::fabs(term);
      }
      if (q.b[m][c] <= -1e4f) {
        z[c] = kLowest;
      } else {
        e.size = std::max(e.size, total);
      }
      max = std::max(max, z[c]);
    }
    for (double& v : z) sum += v = std::exp(v - max);
    for (size_t c = 0; c < classes; ++c) e.p[c] += static_cast<double>(q.weight[m]) * (z[c] /= sum);
    e.member.push_back(std::move(z));
  }
  std::vector<double> votes(classes, 0.0);
  double total = 0;
  for (int64_t j = 0; j < q.neighbour.cols(); ++j) {
    if (q.neighbour(i, j) < 0) continue;
    const double v = std::pow(std::max(0.0, static_cast<double>(q.similarity(i, j))), 3.0);
    votes[static_cast<size_t>(q.label[static_cast<size_t>(q.neighbour(i, j))])] += v;
    total += v;
  }
  if (total > 0) {
    const double w = q.vote_weight;
    for (size_t c = 0; c < classes; ++c) e.p[c] = (1 - w) * e.p[c] + w * votes[c] / total;
  }
  return e;
}

// As engine/policy/acceptor.h has it.
double accept(const LinearAcceptor& a, const DecisionFeatures& f) {
  const auto logit = [](double p, double edge) {
    p = std::clamp(p, edge, 1 - edge);
    return std::log(p / (1 - p));
  };
  const double top1 = std::clamp<double>(f.top1, 1e-6, 1 - 1e-6);
  const double phi[] = {logit(f.top1, 1e-6),
                        static_cast<double>(f.top1) - static_cast<double>(f.top2),
                        f.entropy,
                        logit(f.softmax_p, 1e-6),
                        logit(f.vote_p, 1e-3),
                        f.vote_share,
                        f.mean_distance_10,
                        1.0 - static_cast<double>(f.nearest),
                        std::log(std::max(a.label_frequency[static_cast<size_t>(f.label)], 1e-9)),
                        std::log(top1) - std::log(std::clamp<double>(f.top2, 1e-6, 1.0))};
  double z = a.coef[0];
  for (size_t j = 0; j < 10; ++j) z += a.coef[j + 1] * (phi[j] - a.mean[j]) / a.scale[j];
  return 1 / (1 + std::exp(-std::clamp(z, -30.0, 30.0)));
}

TEST_P(Members, MatchTheOracleAtEveryEdge) {
  const std::vector<std::array<int64_t, 5>> cases = {
      // rows, d, classes, members, k
      {0, 3, 2, 2, 1},     {1, 1, 1, 3, 0},     {1, 0, 3, 2, 2},      {7, 2, 2, 1, 3},      {15, 3, 4, 2, 4},
      {16, 4, 11, 3, 0},   {17, 5, 12, 1, 5},   {31, 7, 13, 2, 6},    {32, 8, 23, 3, 7},    {33, 9, 24, 1, 0},
      {65, 33, 77, 3, 15}, {40, 383, 31, 2, 9}, {23, 384, 77, 1, 15}, {37, 385, 150, 2, 3}, {9, 771, 1000, 1, 0}};
  uint32_t seed = 100;
  for (const auto& [n, d, classes, members, k] : cases) {
    for (const Storage storage : {Storage::kFloat32, Storage::kBFloat16}) {
      for (const float vote_weight : {0.0f, 0.4f, 1.0f}) {
        SCOPED_TRACE(testing::Message() << n << " rows, d " << d << ", " << classes << " classes, " << members
                                        << " members, k " << k << ", storage " << static_cast<int>(storage) << ", vote "
                                        << vote_weight);
        Problem q(n, d, classes, members, k, ++seed);
        q.vote_weight = vote_weight;
        const auto head = backend->prepare_head(q.members(), storage);
        ASSERT_TRUE(head.ok()) << head.status().message();
        ASSERT_EQ((*head)->dimension(), d);
        ASSERT_EQ((*head)->classes(), classes);
        ASSERT_EQ((*head)->members(), members);
        ASSERT_EQ((*head)->storage(), storage);
        std::vector<DecisionFeatures> f(static_cast<size_t>(n)), narrow_f(static_cast<size_t>(n));
        Padded<float> member_p(n, members, 9.0f), p(n, classes, 9.0f);
        ASSERT_OK(backend->decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), nullptr,
                                             {f, member_p.view(), p.view()}));
        ASSERT_TRUE(member_p.guards_intact() && p.guards_intact());
        for (int64_t i = 0; i < n; ++i) {
          SCOPED_TRACE(i);
          const Expected e = expect(q, i, storage);
          const DecisionFeatures& g = f[static_cast<size_t>(i)];
          // See wide_softmax_test.cpp for the softmax of logits of size S; an average of members errs no more, and
          // adds a rounding for each.
          const double tolerance = 2.02 * static_cast<double>(d + 3) * test::kRounding * e.size + 3e-6;
          std::vector<double> sorted = e.p;
          std::sort(sorted.rbegin(), sorted.rend());
          double entropy = 0;
          for (const double v : e.p) entropy -= v > 0 ? v * std::log(v) : 0.0;
          ASSERT_TRUE(near(e.p[static_cast<size_t>(g.label)], sorted[0], 2 * tolerance));
          ASSERT_TRUE(near(g.top1, sorted[0], tolerance));
          ASSERT_TRUE(near(g.top2, classes > 1 ? sorted[1] : 0.0, tolerance));
          ASSERT_TRUE(near(g.entropy, classes > 1 ? entropy / std::log(static_cast<double>(classes)) : 0.0,
                           2 * tolerance + 2e-6));
          ASSERT_EQ(g.top1, p.view()(i, g.label));
          for (int64_t c = 0; c < classes; ++c) {
            ASSERT_TRUE(near(p.view()(i, c), e.p[static_cast<size_t>(c)], tolerance));
          }
          double s = 0;
          for (size_t m = 0; m < static_cast<size_t>(members); ++m) {
            const double expected = e.member[m][static_cast<size_t>(g.label)];
            ASSERT_TRUE(near(member_p.view()(i, static_cast<int64_t>(m)), expected, tolerance));
            s += static_cast<double>(q.weight[m]) * expected;
          }
          ASSERT_TRUE(near(g.softmax_p, s, tolerance));
        }
        // bfloat16 rows, which a bfloat16 head takes as they are.
        Padded<BFloat16> narrow(n, d, BFloat16{0x7fc0});
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < d; ++j) narrow.view()(i, j) = to_bfloat16(q.x.view()(i, j));
        }
        ASSERT_OK(backend->decision_features(HostMatrix<const BFloat16>(narrow.view()), **head, q.vote(), nullptr,
                                             {narrow_f}));
        if (storage == Storage::kBFloat16) {
          ASSERT_TRUE(test::same_bytes(narrow_f, f));
          continue;
        }
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < d; ++j) q.x.view()(i, j) = to_float(narrow.view()(i, j));
        }
        ASSERT_OK(backend->decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), nullptr, {f}));
        ASSERT_TRUE(test::same_bytes(narrow_f, f));
      }
    }
  }
}

TEST_P(Members, AcceptorScoresAgreeToRounding) {
  Problem q(97, 12, 9, 2, 15, 7);
  for (const float sharpen : {1.0f, 40.0f}) {  // 40: probabilities at both clamps
    q.vote_weight = sharpen == 1.0f ? 0.3f : 0.0f;
    for (auto& w : q.w) {
      for (int64_t k = 0; k < 12; ++k) {
        for (int64_t c = 0; c < 9; ++c) w.view()(k, c) *= sharpen;
      }
    }
    const std::vector<double> mean = {1, 0.5, 0.3, 1, 1, 0.5, 0.4, 0.2, -3, 2};
    const std::vector<double> scale = {2, 0.3, 0.2, 2, 2, 0.4, 0.2, 0.1, 1, 1.5};
    const std::vector<double> coef = {0.2, 0.5, -0.3, 0.2, 0.4, 0.3, 0.2, -0.4, -0.1, 0.1, 0.3};
    const std::vector<double> frequency = {0.1, 0.2, 0.0, 0.05, 0.15, 0.1, 0.1, 0.2, 0.1};
    const LinearAcceptor acceptor{mean, scale, coef, frequency};
    const auto head = backend->prepare_head(q.members(), Storage::kFloat32);
    ASSERT_TRUE(head.ok());
    std::vector<DecisionFeatures> f(97);
    std::vector<float> score(97, -1.0f);
    ASSERT_OK(backend->decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), &acceptor,
                                         {f, {}, {}, score}));
    for (size_t i = 0; i < 97; ++i) ASSERT_TRUE(near(score[i], accept(acceptor, f[i]), 1e-5)) << i;
    EXPECT_EQ(
        backend->decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), nullptr, {f, {}, {}, score})
            .code(),
        ErrorCode::kInternal);
  }
}

TEST_P(Members, SameBytesForAnyNumberOfThreadsAndAnyBatch) {
  Problem q(131, 70, 29, 3, 5, 11);
  q.vote_weight = 0.25f;
  for (const Storage storage : {Storage::kFloat32, Storage::kBFloat16}) {
    const auto run = [&](Backend& b) {
      const auto head = b.prepare_head(q.members(), storage);
      EXPECT_TRUE(head.ok());
      std::vector<DecisionFeatures> out(131);
      EXPECT_TRUE(b.decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), nullptr, {out}).ok());
      return out;
    };
    const std::vector<DecisionFeatures> reference = run(*test::make(GetParam(), 1));
    EXPECT_TRUE(test::same_bytes(run(*test::make(GetParam(), 2)), reference));
    EXPECT_TRUE(test::same_bytes(run(*test::make(GetParam(), 7)), reference));
    const auto head = backend->prepare_head(q.members(), storage);
    for (const int64_t count : {1, 16, 31}) {
      for (int64_t i = 0; i + count <= 131; i += 13) {
        NeighbourVote vote = q.vote();
        vote.neighbour = vote.neighbour.rows_from(i, count);
        vote.similarity = vote.similarity.rows_from(i, count);
        std::vector<DecisionFeatures> out(static_cast<size_t>(count));
        ASSERT_OK(backend->decision_features(HostMatrix<const float>(q.x.view()).rows_from(i, count), **head, vote,
                                             nullptr, {out}));
        EXPECT_TRUE(test::same_bytes(out, {reference.begin() + i, reference.begin() + i + count})) << i;
      }
    }
  }
}

TEST_P(Members, RefuseWhatDoesNotFit) {
  Problem q(4, 3, 5, 2, 2, 35);
  const auto code = [&](const std::vector<LinearMember>& members) {
    return backend->prepare_head(members, Storage::kFloat32).status().code();
  };
  EXPECT_EQ(code({}), ErrorCode::kInternal);
  std::vector<LinearMember> members = q.members();
  members[1].w.cols = 4;
  EXPECT_EQ(code(members), ErrorCode::kInternal);
  const std::vector<float> none(5, -1e5f);
  members = q.members();
  members[1].b = none;
  EXPECT_EQ(code(members), ErrorCode::kInternal);
  const auto head = backend->prepare_head(q.members(), Storage::kFloat32);
  ASSERT_TRUE(head.ok());
  std::vector<DecisionFeatures> out(4);
  Matrix<float> wrong(4, 3);
  const auto decide = [&](HostMatrix<const float> x, const DecisionOutputs& o) {
    return backend->decision_features(x, **head, q.vote(), nullptr, o).code();
  };
  EXPECT_EQ(decide(q.x.view(), {out}), ErrorCode::kOk);
  EXPECT_EQ(decide(q.x.view(), {out, wrong.view()}), ErrorCode::kInternal);
  EXPECT_EQ(decide(q.x.view(), {out, {}, wrong.view()}), ErrorCode::kInternal);
  EXPECT_EQ(decide(test::uniform(4, 4, 1).view(), {out}), ErrorCode::kInternal);
  const auto other = test::make(test::isas().front() == GetParam() ? "portable" : test::isas().front(), 1);
  if (other->isa() != GetParam()) {
    EXPECT_EQ(other->decision_features(HostMatrix<const float>(q.x.view()), **head, q.vote(), nullptr, {out}).code(),
              ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace tracer
