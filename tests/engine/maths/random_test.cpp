#include "engine/maths/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

namespace tracer {
namespace {

TEST(Random, PermutationHoldsEveryIndexOnce) {
  for (int64_t n : {0, 1, 2, 3, 17, 1000, 4099}) {
    auto order = Random(7, Stream::kFold).permutation(n);
    ASSERT_EQ(static_cast<int64_t>(order.size()), n);
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(order[i], i) << n;
  }
}

TEST(Random, PermutationIsUniformOverSixOrders) {
  std::vector<int> count(6, 0);
  constexpr int kDraws = 60'000;
  for (int s = 0; s < kDraws; ++s) {
    const auto p = Random(static_cast<uint64_t>(s), Stream::kPermute).permutation(3);
    ++count[p[0] * 2 + (p[1] > p[2])];
  }
  double chi2 = 0;
  for (int c : count) chi2 += std::pow(c - kDraws / 6.0, 2) / (kDraws / 6.0);
  EXPECT_TRUE(chi2 < 25.7) << chi2;  // 5 degrees of freedom, p = 1e-4
}

TEST(Random, StreamsAndSeedsDiffer) {
  std::set<uint64_t> seen;
  for (uint64_t seed : {0ull, 1ull, 2ull, 1ull << 40})
    for (Stream s : {Stream::kCertify, Stream::kFold, Stream::kPosterior, Stream::kRows, Stream::kDisagree,
                     Stream::kBet, Stream::kPermute})
      for (uint64_t c = 0; c < 100; ++c) seen.insert(Random(seed, s).bits(c));
  EXPECT_EQ(seen.size(), 4u * 7 * 100);
}

TEST(Random, BelowStaysInRangeAndIsEven) {
  const Random random(3, Stream::kRows);
  std::vector<int64_t> count(7, 0);
  for (uint64_t c = 0; c < 70'000; ++c) {
    const int64_t v = random.below(c, 7);
    ASSERT_GE(v, 0);
    ASSERT_LT(v, 7);
    ++count[v];
  }
  for (int64_t v : count) EXPECT_NEAR(static_cast<double>(v), 10'000, 500);
  EXPECT_EQ(random.below(9, 1), 0);
}

TEST(Random, UniformAndNormalHaveTheirMoments) {
  const Random random(11, Stream::kDisagree);
  double sum = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kDraws = 200'000;
  for (uint64_t c = 0; c < kDraws; ++c) {
    const double u = random.uniform(c), z = random.normal(c);
    ASSERT_TRUE(u >= 0 && u < 1);
    ASSERT_TRUE(std::isfinite(z));
    sum += u, normal_sum += z, normal_squares += z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_squares / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
}

// These values decide splits and folds: a change of theirs changes every artifact.
TEST(Random, ValuesAreFrozen) {
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafull);  // SplitMix64's first output for seed 0
  const uint64_t bits[] = {0xf6bbe1428969c6d1ull, 0x4344c3d9f3216c90ull, 0xe4505b96a144dafaull, 0x8f70649754f1e10full,
                           0x365460165bfc7c9eull, 0x80aedbe8b7e1fdd4ull, 0xb8e3c0348f757720ull};
  for (uint64_t s = 1; s <= 7; ++s) EXPECT_EQ(Random(42, static_cast<Stream>(s)).bits(3), bits[s - 1]) << s;
  EXPECT_EQ(Random(42, Stream::kCertify).permutation(8), (std::vector<int32_t>{0, 1, 2, 6, 7, 4, 5, 3}));
  EXPECT_EQ(Random(42, Stream::kRows).uniform(5), 0.93996274822858294);
  EXPECT_NEAR(Random(42, Stream::kPosterior).normal(5), 1.2040190149874532, 1e-14);  // by the C library's log and cos
  EXPECT_EQ(Random(42, Stream::kBet).below(5, 1000), 277);
}

}  // namespace
}  // namespace tracer
