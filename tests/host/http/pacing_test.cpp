// How fast requests may go out, on a clock of the test's.
#include "host/http/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "host/io/plain_text.h"

namespace tracer::http {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

HttpResponse answer(Headers headers) {
  HttpResponse r;
  r.status = 200;
  r.headers = std::move(headers);
  return r;
}

TEST(LlmBucket, NoRateIsNoLimit) {
  Bucket b;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(b.ready_at(1e12, 5), 5);
    b.take(1e12, 5);
  }
}

TEST(LlmBucket, AMinutesWorthAtOnceThenTheRate) {
  Bucket b(60);  // one a second
  for (int i = 0; i < 60; ++i) {
    ASSERT_LE(b.ready_at(1, 0), 0) << i;
    b.take(1, 0);
  }
  EXPECT_EQ(b.ready_at(1, 0), 1000);
  EXPECT_EQ(b.ready_at(2, 0), 2000);
  EXPECT_EQ(b.ready_at(1, 400), 1000);
  EXPECT_LE(b.ready_at(1, 1000), 1000);
}

TEST(LlmBucket, IdleTimeFillsAMinutesWorthAtMost) {
  Bucket b(60);
  b.take(60, 0);
  b.take(60, 3'600'000);
  EXPECT_GT(b.ready_at(1, 3'600'000), 3'600'000);
}

TEST(LlmBucket, MoreThanAMinutesWorthWaitsForAFullBucketAndIsPaidBack) {
  Bucket b(60);
  EXPECT_LE(b.ready_at(150, 0), 0);
  b.take(150, 0);  // 90 below nothing
  EXPECT_EQ(b.ready_at(1, 0), 91'000);
  EXPECT_EQ(b.ready_at(1000, 0), 150'000);  // full again
}

TEST(LlmBucket, GivesBackNoMoreThanFits) {
  Bucket b(60);
  b.take(60, 0);
  b.give(10);
  EXPECT_LE(b.ready_at(10, 0), 0);
  EXPECT_GT(b.ready_at(11, 0), 0);
  b.give(1e9);
  EXPECT_LE(b.ready_at(60, 0), 0);
  b.take(60, 0);
  EXPECT_GT(b.ready_at(1, 0), 0);
  b.give(-5);  // more was used than reserved
  EXPECT_EQ(b.ready_at(1, 0), 6000);
}

TEST(LlmBucket, TheTimeItNamesIsReady) {  // or a caller that waits for it would spin
  for (const double rate : {1.0, 7.0, 59.0, 333.3, 12345.6, 1e7}) {
    Bucket b(rate);
    int64_t now = 123'456'789'012;
    for (int i = 0; i < 2000; ++i) {
      const double amount = 1 + i % 13;
      int steps = 0;
      for (int64_t at; (at = b.ready_at(amount, now)) > now; now = at) ASSERT_LT(++steps, 3) << rate;
      b.take(amount, now);
    }
  }
}

TEST(LlmBucket, KeepsToItsRateOverTime) {
  Bucket b(600);
  int64_t now = 0, taken = 0;
  while (now < 600'000) {
    const int64_t at = b.ready_at(1, now);
    if (at > now) {
      now = at;
      continue;
    }
    b.take(1, now);
    ++taken;
  }
  EXPECT_LE(taken, 600 + 6000 + 1);
  EXPECT_GE(taken, 6000);
}

TEST(LlmBucket, AClockThatStandsOrGoesBackGivesNothing) {
  Bucket b(60);
  b.take(60, 10'000);
  EXPECT_GT(b.ready_at(1, 10'000), 10'000);
  EXPECT_GT(b.ready_at(1, 0), 0);
}

TEST(LlmRateLimit, BothRatesBind) {
  RateLimit requests(1, 0);
  requests.take(1, 0);
  EXPECT_EQ(requests.ready_at(1, 0), 60'000);
  RateLimit tokens(0, 600);
  tokens.take(600, 0);
  EXPECT_EQ(tokens.ready_at(10, 0), 1000);
  tokens.settle(600, 100);
  EXPECT_LE(tokens.ready_at(500, 0), 0);
  RateLimit none(0, 0);
  EXPECT_LE(none.ready_at(1'000'000, 7), 7);
}

TEST(LlmRateLimit, APauseOnlyGrows) {
  RateLimit r(0, 0);
  r.pause_until(5000);
  r.pause_until(3000);
  EXPECT_EQ(r.ready_at(1, 0), 5000);
  EXPECT_LE(r.ready_at(1, 5000), 5000);
}

TEST(LlmRateLimit, LearnsFromHeaders) {
  struct Case {
    Headers headers;
    int64_t until;  // from 1000; 0: no pause
  };
  const Case cases[] = {
      {{}, 0},
      {{{"x-ratelimit-remaining-requests", "0"}}, 0},
      {{{"x-ratelimit-reset-requests", "6m0s"}}, 0},
      {{{"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-reset-requests", "6m0s"}}, 361'000},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "250ms"}}, 1250},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "1.5"}}, 2500},
      {{{"x-ratelimit-remaining-requests", "0"},
        {"x-ratelimit-reset-requests", "1s"},
        {"x-ratelimit-remaining-tokens", "0"},
        {"x-ratelimit-reset-tokens", "20s"}},
       21'000},
      {{{"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-reset-tokens", "20s"}}, 0},
      {{{"x-ratelimit-remaining-requests", "-1"}, {"x-ratelimit-reset-requests", "6m0s"}}, 0},  // Azure
      {{{"x-ratelimit-remaining-tokens", "-1"}, {"x-ratelimit-reset-tokens", "-1"}}, 0},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "-1"}}, 0},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "0s"}}, 0},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "soon"}}, 0},
      {{{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "inf"}}, 0},
      {{{"x-ratelimit-remaining-tokens", "59"}, {"x-ratelimit-reset-tokens", "6m0s"}}, 0},
      {{{"x-ratelimit-remaining-tokens", ""}, {"x-ratelimit-reset-tokens", "6m0s"}}, 0},
  };
  for (const Case& c : cases) {
    RateLimit r(0, 0);
    r.learn(answer(c.headers), 1000);
    std::string name;
    for (const auto& [key, value] : c.headers) name += key + ": " + value + "; ";
    EXPECT_EQ(r.ready_at(1, 0), c.until) << name;
  }
}

TEST(LlmDuration, Table) {
  struct Case {
    const char* text;
    int64_t ms;
  };
  const Case cases[] = {{"12", 12'000},
                        {"0", 0},
                        {"1.5", 1500},
                        {"250ms", 250},
                        {"1s", 1000},
                        {"6m0s", 360'000},
                        {"1h2m3.5s", 3'723'500},
                        {"1m", 60'000},
                        {"2h", 7'200'000},
                        {"1d", 86'400'000},
                        {"0.2ms", 1},
                        {"1m250ms", 60'250},
                        {"9999d", 86'400'000},  // a day at most
                        {"1e300s", 86'400'000},
                        {"", -1},
                        {"-1", -1},
                        {"1m-3s", -1},
                        {"s", -1},
                        {"ms", -1},
                        {" 12", -1},
                        {"12 ", -1},
                        {"12 s", -1},
                        {"12x", -1},
                        {"0x10", -1},
                        {"nan", -1},
                        {"inf", -1},
                        {"infinity", -1},
                        {"1e999", -1},
                        {"1,5s", -1},
                        {"2026-01-01T00:00:00Z", -1}};
  for (const Case& c : cases) EXPECT_EQ(duration_ms(c.text), c.ms) << '"' << c.text << '"';
}

TEST(LlmConcurrency, BeginsAtSixteenOrLess) {
  EXPECT_EQ(Concurrency(1).limit(), 1);
  EXPECT_EQ(Concurrency(16).limit(), 16);
  EXPECT_EQ(Concurrency(1000).limit(), 16);
}

TEST(LlmConcurrency, GrowsByOneAnAnswerUntilItIsPushedBackThenByOneARound) {
  Concurrency c(1000);
  for (int i = 0; i < 84; ++i) c.answered();
  EXPECT_EQ(c.limit(), 100);
  c.pushed_back(10, 20);
  EXPECT_EQ(c.limit(), 50);
  for (int i = 0; i < 25; ++i) c.answered();
  EXPECT_EQ(c.limit(), 50);
  for (int i = 0; i < 26; ++i) c.answered();
  EXPECT_EQ(c.limit(), 51);
}

TEST(LlmConcurrency, NeverAboveTheMostNorBelowOne) {
  Concurrency c(20);
  for (int i = 0; i < 1000; ++i) c.answered();
  EXPECT_EQ(c.limit(), 20);
  for (int64_t t = 10; t < 1000; t += 10) c.pushed_back(t, t + 5);
  EXPECT_EQ(c.limit(), 1);
  for (int i = 0; i < 1000; ++i) c.answered();
  EXPECT_EQ(c.limit(), 20);
}

TEST(LlmConcurrency, HalvesOnceARound) {
  Concurrency c(64);
  for (int i = 0; i < 100; ++i) c.answered();
  for (int i = 0; i < 64; ++i) c.pushed_back(0, 100 + i);  // all of one round
  EXPECT_EQ(c.limit(), 32);
  c.pushed_back(50, 300);
  EXPECT_EQ(c.limit(), 32);
  c.pushed_back(250, 300);  // sent after the halving
  EXPECT_EQ(c.limit(), 16);
}

TEST(LlmConcurrency, HalvesOnceARoundThatTakesLessThanAMillisecond) {
  Concurrency c(64);
  for (int i = 0; i < 100; ++i) c.answered();
  for (int i = 0; i < 64; ++i) c.pushed_back(7, 7);
  EXPECT_EQ(c.limit(), 32);
}

void fail(Breaker& b, int times, int64_t now) {
  for (int i = 0; i < times; ++i) b.failed(now, false);
}

TEST(LlmBreaker, OpensAfterTenFailuresInARow) {
  Breaker b;
  fail(b, 9, 0);
  EXPECT_FALSE(b.open());
  b.answered();
  fail(b, 9, 0);
  EXPECT_FALSE(b.open());
  EXPECT_EQ(b.ready_at(), 0);
  fail(b, 1, 500);
  EXPECT_TRUE(b.open());
  EXPECT_EQ(b.ready_at(), 1500);
}

TEST(LlmBreaker, OneTrialAtATime) {
  Breaker b;
  fail(b, 10, 0);
  EXPECT_TRUE(b.sent());
  EXPECT_EQ(b.ready_at(), kNever);
  b.failed(900, false);  // on its way since before
  EXPECT_EQ(b.ready_at(), kNever) << "the trial is still out";
  b.failed(1000, true);
  EXPECT_EQ(b.ready_at(), 3000);
  EXPECT_TRUE(b.sent());
  EXPECT_EQ(b.ready_at(), kNever);
}

TEST(LlmBreaker, WaitsDoubleUpToAMinute) {
  Breaker b;
  fail(b, 10, 0);
  int64_t wait = 1000;
  for (int i = 0; i < 12; ++i) {
    const int64_t now = b.ready_at();
    EXPECT_TRUE(b.sent());
    b.failed(now, true);
    wait = std::min<int64_t>(60'000, 2 * wait);
    EXPECT_EQ(b.ready_at(), now + wait) << i;
  }
}

TEST(LlmBreaker, FailuresOnTheirWayWhenItOpenedDoNotLengthenTheWait) {
  Breaker b;
  fail(b, 10, 0);
  fail(b, 50, 900);
  EXPECT_EQ(b.ready_at(), 1000);
}

TEST(LlmBreaker, TheFirstAnswerClosesIt) {
  Breaker b;
  fail(b, 10, 0);
  EXPECT_TRUE(b.sent());
  b.failed(1000, true);
  EXPECT_TRUE(b.sent());
  b.answered();
  EXPECT_FALSE(b.open());
  EXPECT_EQ(b.ready_at(), 0);
  EXPECT_FALSE(b.sent());
  EXPECT_EQ(b.ready_at(), 0) << "closed: any number may go";
  fail(b, 9, 2000);
  EXPECT_FALSE(b.open());
  fail(b, 1, 2000);
  EXPECT_EQ(b.ready_at(), 3000) << "the wait begins anew";
}

}  // namespace
}  // namespace tracer::http
