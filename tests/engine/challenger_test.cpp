#include "engine/challenger.h"

#include <gtest/gtest.h>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::clusters;
using testing::cpu;

Challenger freeze(const ChallengerOptions& options) {
  auto backend = cpu();
  auto rows = clusters(1500, 5, 16, 1.1, 0.04, 11);
  const Traces traces = testing::traces_of(rows.label, 5);
  const std::vector<uint8_t> fair(1500, 1);
  auto made = freeze_challenger(*backend, traces, std::move(rows.x), fair, options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? std::move(made).value() : Challenger{};
}

std::vector<AuditRow> scored(const Challenger& c) {
  auto backend = cpu();
  auto rows = clusters(1200, 5, 16, 1.1, 0.04, 11);
  std::vector<RowScore> scores;
  EXPECT_TRUE(score_rows(*backend, c.policy.stages[0], rows.x.view(), scores).ok());
  std::vector<AuditRow> out;
  for (size_t i = 0; i < scores.size(); ++i) out.push_back({scores[i], rows.label[i]});
  return out;
}

// Alphas do not meet: each is planned and certified as if it were alone.
TEST(Challenger, AnAlphaIsTheSameAloneAndAmongOthers) {
  for (double floor : {0.0, 0.93}) {
    ChallengerOptions options;
    options.alpha = 0.9;
    options.unit = SplitKind::kRows;
    options.label_floor = floor;
    const Challenger alone = freeze(options);
    options.alphas = {0.8, 0.9, 0.95};
    const Challenger among = freeze(options);
    ASSERT_EQ(alone.plans.size(), 1u);
    ASSERT_EQ(among.plans.size(), 3u);
    ASSERT_EQ(among.policy.certificates.size(), 3u);
    ASSERT_FALSE(alone.plans[0].threshold.empty());
    EXPECT_EQ(among.plans[1].threshold, alone.plans[0].threshold);
    EXPECT_EQ(among.plans[1].bet, alone.plans[0].bet);
    EXPECT_EQ(among.plans[1].patience, alone.plans[0].patience);
    const auto rows = scored(alone);
    const AuditOutcome one = certify_on_audit(alone.policy, alone.policy.certificates[0], alone.plans[0], rows);
    const AuditOutcome same = certify_on_audit(among.policy, among.policy.certificates[1], among.plans[1], rows);
    EXPECT_TRUE(one.certificate.certified);
    EXPECT_EQ(same.certificate.threshold, one.certificate.threshold);
    EXPECT_EQ(same.certificate.n_handled, one.certificate.n_handled);
    EXPECT_EQ(same.certificate.floored.size(), one.certificate.floored.size());
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(among.plans[i].alpha, options.alphas[i]);
      EXPECT_EQ(among.plans[i].level, options.level);
      EXPECT_EQ(among.policy.certificates[i].alpha, options.alphas[i]);
      EXPECT_FALSE(among.policy.certificates[i].certified);
      for (double bet : among.plans[i].bet) EXPECT_LE(bet, 0.8 * (1 - options.alphas[i]) + 1e-12);
    }
  }
}

TEST(Challenger, AlphasThatHoldTogetherShareTheLevel) {
  ChallengerOptions options;
  options.alpha = 0.9;
  options.unit = SplitKind::kRows;
  options.alphas = {0.8, 0.9};
  options.simultaneous = true;
  const Challenger c = freeze(options);
  EXPECT_TRUE(c.policy.simultaneous);
  ASSERT_EQ(c.plans.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(c.plans[i].level, options.level / 2);
    EXPECT_EQ(c.policy.certificates[i].delta, options.level / 2);
  }
}

}  // namespace
}  // namespace tracer
