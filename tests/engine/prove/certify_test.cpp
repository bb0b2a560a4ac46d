#include "engine/prove/certify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/engine/support.h"

namespace tracer {
namespace {

using testing::Draws;

constexpr int32_t kRun = 20;

// Rows whose disagreement falls with the score from 2 * mean to 0; bad_runs of the runs disagree throughout.
LearnSide learn_side(int64_t n, double mean, double bad_runs, uint64_t seed) {
  Draws draws(seed);
  LearnSide side;
  bool bad = false;
  for (int64_t i = 0; i < n; ++i) {
    if (i % kRun == 0) bad = draws.uniform() < bad_runs;
    const double s = 0.001 + 0.998 * draws.uniform();
    side.score.push_back(s);
    side.disagree.push_back(bad || draws.uniform() < 2 * mean * (1 - s));
    side.gated.push_back(0);
    side.unit.push_back(static_cast<int32_t>(i / kRun));
  }
  return side;
}

CertifySide certify_side(const LearnSide& like) {
  CertifySide side{like.score, like.disagree, like.gated, like.unit, 0, kRun};
  side.units = like.unit.empty() ? 0 : like.unit.back() + 1;
  return side;
}

Certificate certify(const LearnSide& learn, const CertifySide& side, bool runs, double alpha, CertifyOptions o = {}) {
  o.delta = 0.1;
  const Certifier certifier(learn, runs ? ProofUnit::kRuns : ProofUnit::kRows, o,
                            static_cast<int64_t>(side.score.size()), side.units, side.unit_rows);
  return certifier.certify(side, alpha);
}

TEST(ChooseUnit, ByCorrelationInsideRuns) {
  const LearnSide plain = learn_side(4000, 0.1, 0, 1), strong = learn_side(4000, 0.05, 0.1, 2);
  EXPECT_FALSE(choose_unit(plain, Unit::kAuto, 0.9, true).runs);
  EXPECT_TRUE(choose_unit(strong, Unit::kAuto, 0.9, true).runs);
  EXPECT_FALSE(choose_unit(strong, Unit::kAuto, 0.9, false).runs) << "rows were drawn one by one: there are no runs";
  EXPECT_FALSE(choose_unit(strong, Unit::kRows, 0.9, true).runs);
  EXPECT_TRUE(choose_unit(plain, Unit::kRuns, 0.9, true).runs);
  for (double level : {0.0, 1.0}) {
    LearnSide same = learn_side(4000, 0, level, 3);
    EXPECT_FALSE(choose_unit(same, Unit::kAuto, 0.9, true).runs) << "no variation, no correlation";
    same.gated.assign(4000, 1);
    EXPECT_TRUE(std::isfinite(choose_unit(same, Unit::kAuto, 0.9, true).z));
  }
  EXPECT_FALSE(choose_unit({}, Unit::kAuto, 0.9, true).runs);
}

TEST(Certifier, CountsAreThoseAboveTheThreshold) {
  const LearnSide learn = learn_side(3000, 0.02, 0, 4);
  CertifySide side = certify_side(learn_side(1000, 0.02, 0, 5));
  for (int i = 0; i < 1000; i += 10) side.gated[i] = 1;
  for (bool runs : {false, true}) {
    const Certificate c = certify(learn, side, runs, 0.9);
    ASSERT_TRUE(c.certified) << c.reason;
    EXPECT_EQ(c.unit, runs ? ProofUnit::kRuns : ProofUnit::kRows);
    int64_t handled = 0, agree = 0;
    for (int i = 0; i < 1000; ++i)
      if (!side.gated[i] && side.score[i] > c.threshold) ++handled, agree += !side.disagree[i];
    EXPECT_EQ(handled, c.n_handled);
    EXPECT_EQ(agree, c.n_agree);
    EXPECT_EQ(c.method, c.threshold > 0 ? Method::kL2d : Method::kGlobal);
  }
}

TEST(Certifier, RefusesAUnitAboveM) {
  const LearnSide learn = learn_side(3000, 0, 0, 6);
  CertifySide side = certify_side(learn_side(1000, 0, 0, 7));
  EXPECT_EQ(certify(learn, side, true, 0.9).unit_rows, kRun);
  EXPECT_EQ(certify(learn, side, false, 0.9).unit_rows, 1);
  side.unit[500] = 0;  // 21 rows
  const Certificate c = certify(learn, side, true, 0.9);
  EXPECT_FALSE(c.certified);
  EXPECT_NE(c.reason.find("more than 20 rows"), std::string::npos) << c.reason;
}

TEST(Certifier, RefusesBelowTheMinimumCoverage) {
  const LearnSide learn = learn_side(3000, 0, 0, 6);
  CertifySide side = certify_side(learn_side(1000, 0, 0, 7));
  CertifyOptions o;
  o.min_coverage = 0.5;
  for (int i = 0; i < 600; ++i) side.gated[i] = 1;
  const Certificate c = certify(learn, side, false, 0.9, o);
  EXPECT_FALSE(c.certified);
  EXPECT_EQ(c.method, Method::kRefused);
  EXPECT_EQ(c.threshold, 1);
  EXPECT_FALSE(c.reason.empty());
  side.gated.assign(1000, 1);
  EXPECT_FALSE(certify(learn, side, false, 0.9).certified);
  EXPECT_FALSE(certify(learn, side, true, 0.9).certified);
}

TEST(Certifier, AnApproximationIsCalledOne) {
  // Betting with runs of 20 cannot show 0.9 on 15 runs, whatever they hold; the design effect can.
  const LearnSide learn = learn_side(6000, 0.02, 0, 8);
  const CertifySide side = certify_side(learn_side(300, 0.02, 0, 9));
  EXPECT_FALSE(certify(learn, side, true, 0.9).certified);
  CertifyOptions o;
  o.approximate = true;
  const Certificate c = certify(learn, side, true, 0.9, o);
  EXPECT_TRUE(c.certified);
  EXPECT_TRUE(c.approximate);
  EXPECT_FALSE(certify(learn, side, false, 0.9, o).approximate);
}

TEST(Certifier, EstimatesOfARefusal) {
  const LearnSide learn = learn_side(3000, 0.1, 0, 10);
  const CertifySide side = certify_side(learn_side(100, 0.1, 0, 11));
  const Certificate c = certify(learn, side, false, 0.98);
  ASSERT_FALSE(c.certified);
  EXPECT_EQ(c.estimate.fewest_handled, 114);  // ceil(ln 0.1 / ln 0.98)
  ASSERT_TRUE(c.estimate.best_alpha.has_value());
  // With runs, an alpha that betting refused is in reach of rows: what is offered instead lies below it all the same.
  const LearnSide fair = learn_side(3000, 0.02, 0, 8);
  const Certificate refused = certify(fair, certify_side(learn_side(300, 0.02, 0, 9)), true, 0.9);
  ASSERT_FALSE(refused.certified);
  EXPECT_LT(refused.estimate.best_alpha.value_or(0), 0.9 - 1e-9);
  EXPECT_TRUE(*c.estimate.best_alpha < 0.98 && *c.estimate.best_alpha > 0.5);
  ASSERT_TRUE(c.estimate.traces_missing.has_value());
  EXPECT_GT(*c.estimate.traces_missing, 0);
  // Out of reach whatever the number: every row disagrees.
  const LearnSide hopeless = learn_side(3000, 0, 1.0, 12);
  const Certificate none = certify(hopeless, side, false, 0.9);
  EXPECT_FALSE(none.estimate.best_alpha.has_value());
  EXPECT_FALSE(none.estimate.traces_missing.has_value());
  // Nothing at all.
  const Certificate empty = Certifier({}, ProofUnit::kRows, {}, 0, 0, 1).certify({}, 0.9);
  EXPECT_FALSE(empty.certified);
}

}  // namespace
}  // namespace tracer
