// What an answer of the server means for the next attempt.
#include "host/http/retry.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tracer::http {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr double kNow = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT

HttpResponse answer(int status, Headers headers = {}) {
  HttpResponse r;
  r.status = status;
  r.headers = std::move(headers);
  return r;
}

ApiError error(std::string code, std::string message = "", std::string type = "") {
  return {std::move(type), std::move(code), "", std::move(message)};
}

TEST(LlmRetryAfter, Table) {
  struct Case {
    Headers headers;
    int64_t ms;  // -1: none
  };
  const Case cases[] = {
      {{}, -1},
      {{{"retry-after", "0"}}, 0},
      {{{"retry-after", "2"}}, 2000},
      {{{"retry-after", "1.5"}}, 1500},
      {{{"retry-after", "0.0001"}}, 1},  // up: never earlier than asked for
      {{{"retry-after-ms", "250"}}, 250},
      {{{"retry-after-ms", "0.5"}}, 1},
      {{{"retry-after-ms", "250"}, {"retry-after", "9"}}, 250},
      {{{"retry-after-ms", "soon"}, {"retry-after", "9"}}, 9000},
      {{{"retry-after-ms", "-5"}, {"retry-after", "9"}}, 9000},
      {{{"retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"}}, 10'000},
      {{{"retry-after", "Sunday, 06-Nov-94 08:49:47 GMT"}}, 10'000},
      {{{"retry-after", "Sun Nov  6 08:49:47 1994"}}, 10'000},
      {{{"retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"}}, 0},
      {{{"retry-after", "Sat, 05 Nov 1994 08:49:37 GMT"}}, 0},  // has passed: not negative
      {{{"retry-after", ""}}, -1},
      {{{"retry-after", "-5"}}, -1},
      {{{"retry-after", "soon"}}, -1},
      {{{"retry-after", "5 seconds"}}, -1},
      {{{"retry-after", "0x10"}}, -1},
      {{{"retry-after", "nan"}}, -1},
      {{{"retry-after", "inf"}}, -1},
      {{{"retry-after", "1e999"}}, -1},
      {{{"retry-after-ms", "infinity"}}, -1},
      {{{"retry-after", std::string("\0\xff", 2)}}, -1},
  };
  for (const Case& c : cases) {
    std::string name;
    for (const auto& [key, value] : c.headers) name += key + ": " + value + "; ";
    EXPECT_EQ(retry_after_ms(answer(429, c.headers), kNow).value_or(-1), c.ms) << name;
  }
}

TEST(LlmRetryAfter, HugeWaitsAreADay) {
  constexpr int64_t kDay = 24 * 3600 * 1000;
  for (const char* text : {"86400", "1e300", "99999999999999999999999", "Fri, 06 Nov 2037 08:49:37 GMT"})
    EXPECT_EQ(retry_after_ms(answer(429, {{"retry-after", text}}), kNow), kDay) << text;
}

TEST(LlmBackoff, StaysWithinItsBounds) {
  const double randoms[] = {0, 0.25, 0.5, 0.999999};
  double full = 500;
  for (int attempt = 1; attempt <= 12; ++attempt, full = std::min(30'000.0, 2 * full))
    for (const double random : randoms) {
      const auto ms = static_cast<double>(backoff_ms(attempt, random));
      EXPECT_GE(ms, full / 2) << attempt;
      EXPECT_LE(ms, full) << attempt;
    }
  EXPECT_EQ(backoff_ms(1, 0), 250);
  EXPECT_EQ(backoff_ms(2, 0), 500);
  EXPECT_EQ(backoff_ms(1, 0.5), 375);
}

TEST(LlmBackoff, AnyAttemptNumberIsFine) {
  for (const int attempt : {-1000, -1, 0}) EXPECT_EQ(backoff_ms(attempt, 0), 250) << attempt;
  for (const int attempt : {64, 1100, 2'000'000'000}) EXPECT_EQ(backoff_ms(attempt, 0), 15'000) << attempt;
}

TEST(LlmJudge, Statuses) {
  struct Case {
    int status;
    Outcome outcome;
    bool throttled;
  };
  const Case cases[] = {
      {200, Outcome::kAnswered, false},  {201, Outcome::kAnswered, false},     {204, Outcome::kAnswered, false},
      {301, Outcome::kRowFailed, false}, {400, Outcome::kRowFailed, false},    {401, Outcome::kUnauthorized, false},
      {402, Outcome::kQuota, false},     {403, Outcome::kUnauthorized, false}, {404, Outcome::kUnauthorized, false},
      {408, Outcome::kRetry, false},     {409, Outcome::kRetry, false},        {413, Outcome::kRowFailed, false},
      {422, Outcome::kRowFailed, false}, {429, Outcome::kRetry, true},         {500, Outcome::kRetry, false},
      {502, Outcome::kRetry, false},     {503, Outcome::kRetry, true},         {504, Outcome::kRetry, false},
      {529, Outcome::kRetry, true},
  };
  for (const Case& c : cases) {
    const Verdict v = judge(answer(c.status), {}, kNow);
    EXPECT_EQ(v.outcome, c.outcome) << c.status;
    EXPECT_EQ(v.throttled, c.throttled) << c.status;
    EXPECT_EQ(v.error, v.outcome == Outcome::kAnswered ? "" : "http " + std::to_string(c.status));
    EXPECT_FALSE(v.retry_after_ms.has_value()) << c.status;
  }
}

TEST(LlmJudge, NoAnswerIsTriedAgain) {
  HttpResponse none;
  EXPECT_EQ(judge(none, {}, kNow).outcome, Outcome::kRetry);
  EXPECT_EQ(judge(none, {}, kNow).error, "no answer");
  none.error = "connection refused";
  EXPECT_EQ(judge(none, {}, kNow).error, "connection refused");
  EXPECT_FALSE(judge(none, {}, kNow).throttled);
}

TEST(LlmJudge, ASpentQuotaIsNoRateLimit) {
  for (const char* code : {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active",
                           "enforced_spend_limit_reached", "credit_balance_too_low", "insufficient_credits"}) {
    EXPECT_EQ(judge(answer(429), error(code), kNow).outcome, Outcome::kQuota) << code;
    EXPECT_EQ(judge(answer(429), error("", "", code), kNow).outcome, Outcome::kQuota) << "as type: " << code;
    EXPECT_EQ(judge(answer(403), error(code), kNow).outcome, Outcome::kQuota) << code;
  }
  EXPECT_EQ(judge(answer(429), error("", "You exceeded your current quota, please check"), kNow).outcome,
            Outcome::kQuota);
  EXPECT_EQ(
      judge(answer(400), error("", "Your credit balance is too low to access", "invalid_request_error"), kNow).outcome,
      Outcome::kQuota);
  const Verdict rate = judge(answer(429, {{"retry-after", "3"}}), error("rate_limit_exceeded", "Rate limit"), kNow);
  EXPECT_EQ(rate.outcome, Outcome::kRetry);
  EXPECT_TRUE(rate.throttled);
  EXPECT_EQ(rate.retry_after_ms, 3000);
  EXPECT_EQ(rate.error, "http 429: Rate limit");
}

TEST(LlmJudge, AQuotaCannotBeRetriedWhateverTheHeaderSays) {
  EXPECT_EQ(judge(answer(429, {{"x-should-retry", "true"}}), error("insufficient_quota"), kNow).outcome,
            Outcome::kQuota);
  EXPECT_EQ(judge(answer(402, {{"x-should-retry", "true"}}), {}, kNow).outcome, Outcome::kQuota);
  EXPECT_EQ(judge(answer(401, {{"x-should-retry", "true"}}), {}, kNow).outcome, Outcome::kUnauthorized);
}

TEST(LlmJudge, ARefusedKeyIsNamedSoEvenWhereQuotaIsSpoken) {
  EXPECT_EQ(judge(answer(401), error("insufficient_quota"), kNow).outcome, Outcome::kUnauthorized);
}

TEST(LlmJudge, ShouldRetryOverrules) {
  struct Case {
    int status;
    const char* header;
    Outcome outcome;
  };
  const Case cases[] = {{400, "true", Outcome::kRetry},       {429, "false", Outcome::kRowFailed},
                        {500, "false", Outcome::kRowFailed},  {400, "false", Outcome::kRowFailed},
                        {500, "true", Outcome::kRetry},       {500, "perhaps", Outcome::kRetry},
                        {400, "perhaps", Outcome::kRowFailed}};
  for (const Case& c : cases)
    EXPECT_EQ(judge(answer(c.status, {{"x-should-retry", c.header}}), {}, kNow).outcome, c.outcome)
        << c.status << " " << c.header;
}

TEST(LlmJudge, AnAnswerNeedsNoHeaderAndNoError) {
  const Verdict v =
      judge(answer(200, {{"retry-after", "7"}, {"x-should-retry", "true"}}), error("insufficient_quota"), kNow);
  EXPECT_EQ(v.outcome, Outcome::kAnswered);
  EXPECT_EQ(v.error, "");
}

TEST(LlmHttpResponse, TheFirstHeaderOfAName) {
  const HttpResponse r = answer(200, {{"a", "1"}, {"a", "2"}});
  EXPECT_EQ(r.header("a"), "1");
  EXPECT_EQ(r.header("b"), "");
}

}  // namespace
}  // namespace tracer::http
