#include "host/versions/state.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "host/io/json_fields.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

using Json = JsonFields::Json;

AuditPlan plan_at(double alpha) {
  return {alpha, 0.025, {0.9, 0.5}, {0.4 * (1 - alpha), 0.6 * (1 - alpha)}, {0.3, 0.7}, 400};
}

VersionState example() {
  VersionState s;
  s.scored = 1;
  s.versions = {{1, "fit", "aa", VersionStatus::kDeployed, 0, 0.05, 0},
                {2, "update", "bb", VersionStatus::kDropped, 1, 0.025, 90},
                {3, "update", "cc", VersionStatus::kWaiting, 2, 0.05 / 6, 0}};
  s.champions = {1};
  s.plans = {plan_at(0.9), plan_at(0.95)};
  s.rows = {{"rows-000001.safetensors", "dd", 500, 0, 0}, {"rows-000002.safetensors", "ee", 40, 10, 3}};
  return s;
}

// The state's document after `change`, with the digest that belongs to it.
std::string changed(const std::function<void(Json&)>& change, int64_t version = 2) {
  Json document = Json::parse(state_text(example()));
  change(document["state"]);
  document["format_version"] = version;
  document["sha256"] = io::sha256_hex(document["state"].dump());
  return document.dump();
}

TEST(VersionState, WhatIsWrittenIsRead) {
  const std::string text = state_text(example());
  const auto read = parse_state(text, "state.json");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(state_text(*read), text);
  ASSERT_EQ(read->plans.size(), 2u);
  EXPECT_EQ(read->plans[1].alpha, 0.95);
  EXPECT_EQ(read->plans[1].bet, plan_at(0.95).bet);
  EXPECT_EQ(read->waiting()->number, 3);
  EXPECT_EQ(read->rows[1].audit, 10);
}

TEST(VersionState, CutShortAnywhereItIsRefused) {
  const std::string text = state_text(example());
  for (size_t length = 0; length + 1 < text.size(); ++length) {  // the line's end may go
    const auto read = parse_state(std::string_view(text).substr(0, length), "state.json");
    ASSERT_FALSE(read.ok()) << length;
    EXPECT_EQ(read.status().code(), ErrorCode::kBadInput) << length;
    EXPECT_TRUE(read.status().message().starts_with("state.json")) << read.status().message();
  }
}

// The last digit of a number may change and the number not: that is no other state.
TEST(VersionState, AFlippedBitIsRefusedOrChangesNothing) {
  const std::string text = state_text(example());
  size_t harmless = 0;
  for (size_t at = 0; at < text.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = text;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const auto read = parse_state(bad, "state.json");
      if (read.ok()) {
        ++harmless;
        ASSERT_EQ(state_text(*read), text) << "byte " << at << ", bit " << bit;
        continue;
      }
      EXPECT_EQ(read.status().code(), ErrorCode::kBadInput);
    }
  EXPECT_LT(harmless, 20u);
}

TEST(VersionState, WhatCannotBeIsNamedThoughItsDigestIsRight) {
  const struct {
    const char* message;
    std::function<void(Json&)> change;
  } cases[] = {
      {"numbers from 1 without gaps", [](Json& s) { s["versions"][1]["number"] = 7; }},
      {"at most one that waits", [](Json& s) { s["versions"][1]["status"] = "waiting"; }},
      {"deployed, waiting or dropped", [](Json& s) { s["versions"][1]["status"] = "lost"; }},
      {"champions: expected versions", [](Json& s) { s["champions"] = {4}; }},
      {"expected a champion among the versions", [](Json& s) { s["champions"] = Json::array(); }},
      {"expected a champion among the versions", [](Json& s) { s["deploying"] = 4; }},
      {"\"delta\"", [](Json& s) { s["delta"] = 1.5; }},
      {"expected those of the version that waits, found none", [](Json& s) { s["plans"] = Json::array(); }},
      {"ascending alphas", [](Json& s) { s["plans"][1]["alpha"] = 0.9; }},
      {"a bet and a share for every threshold", [](Json& s) { s["plans"][0]["bet"] = {0.01}; }},
      {"bets below 1 - alpha", [](Json& s) { s["plans"][0]["bet"][1] = 0.1; }},
      {"descending thresholds",
       [](Json& s) {
         s["plans"][0]["threshold"] = {0.5, 0.5};
       }},
      {"expected the field \"plans\"", [](Json& s) { s.erase("plans"); }},
      {"\"audit\"", [](Json& s) { s["rows"][0]["audit"] = 501; }},
      {"a name in the folder", [](Json& s) { s["rows"][0]["file"] = "../rows"; }},
  };
  for (const auto& c : cases) {
    const auto read = parse_state(changed(c.change), "state.json");
    ASSERT_FALSE(read.ok()) << c.message;
    EXPECT_NE(read.status().message().find(c.message), std::string::npos) << read.status().message();
  }
  for (int64_t version : {0, 3}) {
    const auto read = parse_state(changed([](Json&) {}, version), "state.json");
    ASSERT_FALSE(read.ok());
    EXPECT_NE(read.status().message().find("version 1 to 2"), std::string::npos) << read.status().message();
  }
}

TEST(VersionState, Version1HasOnePlan) {
  const auto read = parse_state(changed(
                                    [](Json& s) {
                                      s["plan"] = Json(s["plans"][1]);
                                      s.erase("plans");
                                    },
                                    1),
                                "state.json");
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->plans.size(), 1u);
  EXPECT_EQ(read->plans[0].alpha, 0.95);
}

}  // namespace
}  // namespace tracer
