// One log buys one promise.
#include "host/artifact/look_ledger.h"

#include <gtest/gtest.h>

#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

Look look(const std::string& config, std::vector<uint64_t> rows, int looks = 1, const std::string& log = "") {
  return {log.empty() ? "log of " + config : log, config, std::move(rows), {0.9}, 0.05, looks};
}

std::vector<uint64_t> range(uint64_t first, uint64_t count) {
  std::vector<uint64_t> rows;
  for (uint64_t i = 0; i < count; ++i) rows.push_back(first + i);
  return rows;
}

Json empty() { return {{"looks", Json::array()}}; }

// What fit does: checks, then writes down the outcome. Returns the refusal.
std::string take(Json& ledger, const Look& l) {
  const auto refusal = check_look(ledger, l);
  EXPECT_TRUE(refusal.ok()) << refusal.status().message();
  ledger = add_look(ledger, l, {}, !refusal->empty());
  return *refusal;
}

TEST(LookLedger, TheFirstLookStands) {
  Json ledger = empty();
  EXPECT_EQ(take(ledger, look("a", range(0, 100))), "");
  EXPECT_EQ(ledger["looks"].size(), 1u);
}

TEST(LookLedger, TheSameFitAgainIsNotANewLook) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100)));
  const Json before = ledger;
  EXPECT_EQ(take(ledger, look("a", range(0, 100))), "");
  EXPECT_EQ(ledger, before);
}

TEST(LookLedger, ASecondLookAtSharedRowsProvesNothing) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100)));
  EXPECT_TRUE(io::contains(take(ledger, look("b", range(0, 100))), "1 earlier fit"));
  EXPECT_NE(take(ledger, look("c", range(90, 100))), "");
}

TEST(LookLedger, AVoidLookStaysVoidHoweverOftenItIsTaken) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100)));
  for (int again = 0; again < 3; ++again) EXPECT_NE(take(ledger, look("b", range(0, 100))), "") << again;
  EXPECT_EQ(take(ledger, look("a", range(0, 100))), "");  // and takes nothing from the one that stood
}

TEST(LookLedger, AnEqualLogIsTheSameRowsHoweverFewOverlap) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100), 1, "log"));
  EXPECT_NE(take(ledger, look("b", range(1000, 100), 1, "log")), "");
}

TEST(LookLedger, FreshRowsAreANewPromise) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100)));
  EXPECT_EQ(take(ledger, look("b", range(1000, 100))), "");
}

TEST(LookLedger, PlannedLooksStandUntilTheyAreUsedUp) {
  Json ledger = empty();
  for (const char* config : {"a", "b", "c"}) EXPECT_EQ(take(ledger, look(config, range(0, 100), 3)), "") << config;
  EXPECT_NE(take(ledger, look("d", range(0, 100), 3)), "");
  EXPECT_EQ(take(ledger, look("c", range(0, 100), 3)), "");
}

TEST(LookLedger, LooksCannotBePlannedAfterTheFirst) {
  Json ledger = empty();
  take(ledger, look("a", range(0, 100), 1));
  EXPECT_NE(take(ledger, look("b", range(0, 100), 5)), "");
}

TEST(LookLedger, RowsAreKnownByTextAndLabelWhereverTheyStand) {
  Traces traces;
  traces.labels = {"x", "y"};
  for (int i = 0; i < 40; ++i) {
    traces.label.push_back(i % 2);
    traces.text_hash.push_back(i < 30 ? static_cast<uint64_t>(i) : 7777u);  // the last ten repeat one text
    traces.line.push_back(i + 1);
  }
  FitResult result;
  result.split.certify = {3, 4, 5, 31, 32};
  const Look a = look_of(traces, result, {}, "log");
  EXPECT_EQ(a.rows.size(), 3u);  // repeated texts identify nothing
  for (int64_t& line : traces.line) line += 5;
  EXPECT_EQ(look_of(traces, result, {}, "log").rows, a.rows);
  result.split.certify = {3, 4, 6};
  EXPECT_NE(look_of(traces, result, {}, "log").config, a.config);
  result.split.certify = {3, 4, 5, 31, 32};
  result.unit.runs = true;
  EXPECT_NE(look_of(traces, result, {}, "log").config, a.config);
}

TEST(LookLedger, DigestFollowsLabelsTextsAndVectors) {
  Traces traces;
  traces.labels = {"x", "y"};
  traces.label = {0, 1};
  traces.text_hash = {1, 2};
  traces.line = {1, 2};
  Matrix<float> x(2, 3);
  const std::string base = log_digest(traces, x);
  traces.line = {5, 9};
  EXPECT_EQ(log_digest(traces, x), base);
  x(1, 2) = 1;
  EXPECT_NE(log_digest(traces, x), base);
  x(1, 2) = 0;
  traces.label = {1, 0};
  EXPECT_NE(log_digest(traces, x), base);
  traces.label = {0, 1};
  traces.labels = {"xy", ""};
  EXPECT_NE(log_digest(traces, x), base);
}

TEST(LookLedger, DamageIsRefused) {
  for (const char* text :
       {R"({})", R"({"looks":7})", R"({"looks":[{}]})", R"([])",
        R"({"looks":[{"log":"l","config":"x","certify_rows":"123","looks":1,"void":false}]})",
        R"({"looks":[{"log":"l","config":"x","certify_rows":"zzzzzzzzzzzzzzzz","looks":1,"void":false}]})"}) {
    const auto v = check_look(Json::parse(text), look("a", range(0, 10)));
    EXPECT_FALSE(v.ok()) << text;
  }
}

}  // namespace
}  // namespace tracer
