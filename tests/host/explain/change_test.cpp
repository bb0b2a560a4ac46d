// What more traces would give, and what was gained and lost since an earlier policy.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/explain/growth.h"
#include "host/explain/since.h"

namespace tracer {
namespace {

// n rows with labels a, b and c in turn; those of score above the threshold are handled, and agree.
struct Example {
  Policy policy;
  Certificate certificate;
  ExplainedRows e;

  explicit Example(int64_t n) {
    policy.labels = {"a", "b", "c"};
    certificate.alpha = 0.9, certificate.certified = true, certificate.delta = 0.05;
    e.policy = &policy, e.certificate = &certificate;
    for (int64_t i = 0; i < n; ++i) {
      ExplainedRow r;
      r.teacher = r.label = static_cast<int32_t>(i % 3);
      r.nearest = 0.5f;
      r.decision = Reason::kAccepted;
      e.rows.push_back(r);
      e.causes.cause.push_back(Cause::kHandled);
    }
  }
  void defer(int64_t i, Cause why) {
    e.rows[static_cast<size_t>(i)].decision = Reason::kBelowThreshold;
    e.causes.cause[static_cast<size_t>(i)] = why;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const ExplainedRow& r : e.rows) out.push_back(policy.labels[static_cast<size_t>(r.teacher)]);
    return out;
  }
};

// Coverage 1 - 2 n^-0.4, of every label alike.
std::vector<GrowthFit> fits_of(const Example& in, double traces) {
  std::vector<GrowthFit> fits;
  std::mt19937_64 bits(3);
  for (const double share : kGrowthShares)
    for (uint64_t draw = 0; draw < kGrowthDraws; ++draw) {
      GrowthFit fit{share, true, {}, {}};
      const double coverage = 1 - 2 * std::pow(share * traces, -0.4);
      for (const ExplainedRow& r : in.e.rows) {
        fit.answer.push_back(r.label);
        fit.handled.push_back(static_cast<double>(bits() >> 11) * 0x1p-53 < coverage);
      }
      fits.push_back(std::move(fit));
    }
  return fits;
}

TEST(ExplainGrowth, TheGainOfALawIsFoundOfAllAndOfEachLabel) {
  const double traces = 4000;
  Example in(30'000);
  const double now = 1 - 2 * std::pow(traces, -0.4);
  for (int64_t i = 0; i < 30'000; ++i)
    if ((i * 7919) % 10'000 >= std::llround(now * 10'000)) in.defer(i, Cause::kSpread);
  const Json g = growth_json(in.e, fits_of(in, traces), {4000, {1000, 1000, 2000}, 4000});
  EXPECT_EQ(g["fits"], 9);
  ASSERT_EQ(g["points"].size(), 4u);
  EXPECT_EQ(g["points"][0]["traces"], 500);
  EXPECT_EQ(g["points"][3]["traces"], 4000);
  EXPECT_NEAR(g["points"][3]["coverage"].get<double>(), now, 1e-3);
  EXPECT_EQ(g["points"][3]["fits"], 1);
  EXPECT_EQ(g["points"][1]["teacher_agreement"], 1.0);
  const double truth = 2 * (std::pow(4000, -0.4) - std::pow(8000, -0.4));
  EXPECT_NEAR(g["gain"].get<double>(), truth, 0.006);
  EXPECT_LE(g["gain_low"].get<double>(), truth);
  EXPECT_GE(g["gain_high"].get<double>(), truth);
  EXPECT_LT(g["gain_high"].get<double>() - g["gain_low"].get<double>(), 0.05);
  ASSERT_EQ(g["labels"].size(), 3u);
  for (const Json& l : g["labels"]) {
    EXPECT_EQ(l["n"], 10'000);
    EXPECT_EQ(l["more"], l["traces"]);
    EXPECT_NEAR(l["gain"].get<double>(), truth, 0.015) << l;
    EXPECT_LE(l["gain_low"].get<double>(), truth) << l;
    EXPECT_GE(l["gain_high"].get<double>(), truth) << l;
  }
}

TEST(ExplainGrowth, FewRowsWidenTheIntervalAndVeryFewSayNothing) {
  double width = 0;
  for (const int64_t n : {6000, 240, 90, 57}) {
    Example in(n);
    for (int64_t i = 0; i < n; i += 14) in.defer(i, Cause::kSpread);  // 1 - 2 * 4000^-0.4: the law's coverage
    const Json g = growth_json(in.e, fits_of(in, 4000), {4000, {1000, 1000, 2000}, 4000});
    const Json& label = g["labels"][1];
    if (n / 3 < kFewestGrowthRows) {
      EXPECT_TRUE(label["gain"].is_null());
      EXPECT_EQ(label["reason"], "too few rows to say: 19 of 20");
      continue;
    }
    EXPECT_TRUE(label["reason"].is_null());
    const double now = g["gain_high"].get<double>() - g["gain_low"].get<double>();
    EXPECT_GE(now, width) << n;
    width = now;
  }
}

TEST(ExplainGrowth, SizesThatCertifyNothingSayNothing) {
  Example in(300);
  auto fits = fits_of(in, 4000);
  for (GrowthFit& f : fits)
    if (f.share < 0.5) f.certified = false, f.handled.assign(300, 0);
  const Json g = growth_json(in.e, fits, {4000, {1000, 3000, 0}, 500});
  EXPECT_TRUE(g["gain"].is_null());
  EXPECT_EQ(g["reason"], "too few sizes to say: only 2 of 4 could be certified");
  EXPECT_EQ(g["points"][0]["coverage"], 0.0);
  EXPECT_TRUE(g["points"][0]["teacher_agreement"].is_null());
  ASSERT_EQ(g["labels"].size(), 2u);  // c has no trace
  EXPECT_EQ(g["labels"][0]["more"], 125);
}

TEST(ExplainSince, RowsGainedAndLostHaveTheirReasons) {
  Example now(90), before(90);
  before.policy.labels = {"a", "b", "z"};  // c came, z went
  Earlier earlier;
  earlier.policy = &before.policy, earlier.certificate = &before.certificate;
  earlier.folder = "old", earlier.digest = "d";
  for (int64_t i = 0; i < 90; ++i)
    if (i % 3 == 2) before.defer(i, Cause::kFar), before.e.rows[static_cast<size_t>(i)].teacher = -1;
  now.defer(0, Cause::kSpread), now.defer(3, Cause::kSpread), now.defer(6, Cause::kAmbiguous);
  before.defer(1, Cause::kMargin);
  before.e.rows[9].nearest = 1;  // learned from, by the earlier one and the later one
  now.e.rows[10].nearest = 1;
  now.e.regions.count = 2;
  for (int64_t i = 0; i < 90; ++i) now.e.regions.region.push_back(i % 3 == 2);
  earlier.rows = before.e.rows, earlier.causes = before.e.causes;
  const Json s = since_json(now.e, earlier, now.names());
  EXPECT_EQ(s["n"], 88);
  EXPECT_EQ(s["rows_left_out"], 2);
  EXPECT_EQ(s["n_handled"]["before"], 88 - 30 - 1);
  EXPECT_EQ(s["n_handled"]["now"], 88 - 3);
  EXPECT_EQ(s["gained"], 31);
  EXPECT_EQ(s["lost"], 3);
  EXPECT_EQ(s["gained_why"][0]["reason"], "far_from_traces");
  EXPECT_EQ(s["gained_why"][0]["n"], 30);
  EXPECT_EQ(s["lost_why"][0]["reason"], "spread");
  EXPECT_EQ(s["labels_gained"], Json({"c"}));
  EXPECT_EQ(s["labels_lost"], Json({"z"}));
  ASSERT_EQ(s["labels"].size(), 3u);
  EXPECT_EQ(s["labels"][0]["label"], "c");
  EXPECT_EQ(s["labels"][0]["gained"], 30);
  EXPECT_EQ(s["labels"][0]["flag"], true);
  EXPECT_NEAR(s["labels"][0]["p"].get<double>(), 5 * 2 * std::pow(0.5, 30), 1e-12);  // of 5 tests, two-sided
  EXPECT_EQ(s["labels"][1]["label"], "a");
  EXPECT_EQ(s["labels"][1]["lost"], 3);
  EXPECT_EQ(s["labels"][1]["flag"], false);
  ASSERT_EQ(s["regions"].size(), 2u);
  EXPECT_EQ(s["regions"][0]["region"], 1);
  EXPECT_EQ(s["regions"][0]["labels"][0]["label"], "c");
  EXPECT_EQ(s["regions"][1]["gained"], 1);
  EXPECT_EQ(s["regions"][1]["lost"], 3);
}

TEST(ExplainSince, TheSamePolicyMovesNothing) {
  Example now(60);
  Earlier earlier;
  earlier.policy = &now.policy, earlier.certificate = &now.certificate;
  earlier.rows = now.e.rows, earlier.causes = now.e.causes;
  const Json s = since_json(now.e, earlier, now.names());
  EXPECT_EQ(s["gained"], 0);
  EXPECT_EQ(s["lost"], 0);
  EXPECT_EQ(s["p"], 1.0);
  EXPECT_TRUE(s["labels"].empty());
  EXPECT_TRUE(s["regions"].empty());
}

}  // namespace
}  // namespace tracer
