// One log buys one promise.
#include "host/artifact/ledger.h"

#include <gtest/gtest.h>

#include "io_test_util.h"

namespace tracer {
namespace {

Look look(const std::string& config, std::vector<uint64_t> rows, int looks = 1) {
  return {config, std::move(rows), {0.9}, 0.05, looks};
}

std::vector<uint64_t> range(uint64_t first, uint64_t count) {
  std::vector<uint64_t> rows;
  for (uint64_t i = 0; i < count; ++i) rows.push_back(first + i);
  return rows;
}

Json empty() { return {{"looks", Json::array()}}; }

TEST(Ledger, TheFirstLookStands) {
  const auto v = check_look(empty(), look("a", range(0, 100)));
  ASSERT_TRUE(v.ok());
  EXPECT_TRUE(v->refusal.empty());
  EXPECT_FALSE(v->repeated);
}

TEST(Ledger, TheSameFitAgainIsNotANewLook) {
  const Json ledger = add_look(empty(), look("a", range(0, 100)), {});
  const auto v = check_look(ledger, look("a", range(0, 100)));
  ASSERT_TRUE(v.ok());
  EXPECT_TRUE(v->repeated);
  EXPECT_TRUE(v->refusal.empty());
  EXPECT_EQ(add_look(ledger, look("a", range(0, 100)), {}), ledger);
}

TEST(Ledger, ASecondLookAtSharedRowsProvesNothing) {
  const Json ledger = add_look(empty(), look("a", range(0, 100)), {});
  const auto same = check_look(ledger, look("b", range(0, 100)));
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE(io::contains(same->refusal, "1 earlier fit"));
  const auto partly = check_look(ledger, look("b", range(90, 100)));
  ASSERT_TRUE(partly.ok());
  EXPECT_FALSE(partly->refusal.empty());
}

TEST(Ledger, FreshRowsAreANewPromise) {
  const Json ledger = add_look(empty(), look("a", range(0, 100)), {});
  const auto v = check_look(ledger, look("b", range(1000, 100)));
  ASSERT_TRUE(v.ok());
  EXPECT_TRUE(v->refusal.empty());
}

TEST(Ledger, PlannedLooksStandUntilTheyAreUsedUp) {
  Json ledger = empty();
  for (const char* config : {"a", "b", "c"}) {
    const auto v = check_look(ledger, look(config, range(0, 100), 3));
    ASSERT_TRUE(v.ok());
    EXPECT_TRUE(v->refusal.empty()) << config;
    ledger = add_look(ledger, look(config, range(0, 100), 3), {});
  }
  const auto fourth = check_look(ledger, look("d", range(0, 100), 3));
  ASSERT_TRUE(fourth.ok());
  EXPECT_FALSE(fourth->refusal.empty());
}

TEST(Ledger, LooksCannotBePlannedAfterTheFirst) {
  const Json ledger = add_look(empty(), look("a", range(0, 100), 1), {});
  const auto v = check_look(ledger, look("b", range(0, 100), 5));
  ASSERT_TRUE(v.ok());
  EXPECT_FALSE(v->refusal.empty());
}

TEST(Ledger, DamageIsRefused) {
  for (const char* text :
       {R"({})", R"({"looks":7})", R"({"looks":[{}]})", R"({"looks":[{"config":"x","certify_rows":"123","looks":1}]})",
        R"({"looks":[{"config":"x","certify_rows":"zzzzzzzzzzzzzzzz","looks":1}]})"}) {
    const auto v = check_look(Json::parse(text), look("a", range(0, 10)));
    EXPECT_FALSE(v.ok()) << text;
  }
}

}  // namespace
}  // namespace tracer
