// What the dispatcher sends and when, on a clock of the test's and against a server of the test's.
#include "host/job/dispatcher.h"

#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "tests/host/fake_http.h"
#include "tests/host/io_test_util.h"

namespace tracer::job {
namespace {

using http::FakeHttp;
using io::contains;
using Json = nlohmann::json;
using Answer = FakeHttp::Answer;

const std::vector<std::string> kLabels = {"a", "b"};

Answer said(const std::string& content) {
  const Json body = {{"choices", {{{"message", {{"content", content}}}}}},
                     {"usage", {{"prompt_tokens", 10}, {"completion_tokens", 2}}}};
  return {200, body.dump(), {}, 1};
}
Answer label() { return said(R"({"label":"b"})"); }
Answer refused(int status, const std::string& code = "",
               std::vector<std::pair<std::string, std::string>> headers = {}) {
  const Json body = {{"error", {{"message", "no"}, {"code", code}}}};
  return {status, body.dump(), std::move(headers), 1};
}

// A journal that has a number of asks, keeps everything at once, and remembers what it was told.
class Log final : public DispatchLog {
 public:
  struct Started {
    int64_t ask = 0;
    AttemptKind kind = AttemptKind::kFirst;
    int64_t most_cost = 0;
    int64_t at = 0;
  };
  Log(int64_t asks, const int64_t& now) : asks_(asks), now_(now) {}

  void want(int64_t n) override {
    std::vector<PendingAsk> asks;
    for (; n > 0 && given_ < asks_; --n) {
      ++given_;
      asks.push_back({given_, "text " + std::to_string(given_), std::nullopt});
    }
    to->deliver(std::move(asks), given_ == asks_);
  }
  int64_t new_attempt() override { return ++attempts_; }
  void attempt_started(int64_t, int64_t ask, AttemptKind kind, int64_t most_cost) override {
    started.push_back({ask, kind, most_cost, now_});
  }
  void attempt_ended(AttemptEnd end) override {
    ended.push_back(std::move(end));
    if (keeps) to->kept(1);
  }
  void dispatch_ended(std::string why) override { over.push_back(std::move(why)); }
  Status failure() const override { return broken; }

  int64_t results(AskState state) const {
    return std::count_if(ended.begin(), ended.end(),
                         [&](const AttemptEnd& e) { return e.result && e.result->state == state; });
  }

  Dispatcher* to = nullptr;
  bool keeps = true;  // what ended is on the disk at once
  Status broken;
  std::vector<Started> started;
  std::vector<AttemptEnd> ended;
  std::vector<std::string> over;  // why it ended

 private:
  const int64_t asks_;
  const int64_t& now_;
  int64_t given_ = 0, attempts_ = 0;
};

// A dispatcher, and all that it needs. The server is told how often it has been asked before.
class Dispatch {
 public:
  using Server = std::function<Answer(const http::HttpRequest& request, int64_t before)>;

  Dispatch(int64_t asks, DispatchOptions options, Server server, const Ledger& spent = {})
      : log(asks, now), api_(chat()), prompt_(llm::Prompt::make("{input}", "prompt", kLabels).value()) {
    options.clock = [this] { return now; };
    auto http = std::make_unique<FakeHttp>(now, [this, server](const http::HttpRequest& request) {
      most_in_flight = std::max(most_in_flight, http_->in_flight() + 1);
      return server(request, asked++);
    });
    http_ = http.get();
    dispatcher.emplace(options, api_, prompt_, std::move(http), log, spent);
    log.to = &*dispatcher;
  }
  StopReason run() {
    const int64_t began = now;
    dispatcher->run();
    took = now - began;
    EXPECT_EQ(log.over.size(), 1u);
    return dispatcher->stop_reason();
  }
  // When the asks' attempts went out, from the first on.
  std::vector<int64_t> times() const {
    std::vector<int64_t> out;
    for (const Log::Started& s : log.started) out.push_back(s.at - log.started.front().at);
    return out;
  }

  int64_t now = 1'000'000, took = 0, asked = 0, most_in_flight = 0;
  Log log;
  std::optional<Dispatcher> dispatcher;

 private:
  static llm::ChatOptions chat() {
    llm::ChatOptions options;
    options.url = "http://h/v1";
    options.model = "m";
    options.labels = kLabels;
    return options;
  }
  const llm::ChatApi api_;
  const llm::Prompt prompt_;
  FakeHttp* http_ = nullptr;
};

TEST(Dispatcher, EveryTextIsSentOnceInOrder) {
  std::vector<std::string> texts;
  DispatchOptions options;
  options.concurrency = 1;
  Dispatch d(5, options, [&](const http::HttpRequest& request, int64_t) {
    texts.push_back(Json::parse(request.body)["messages"].back()["content"]);
    return label();
  });
  EXPECT_EQ(d.run(), StopReason::kNone);
  EXPECT_EQ(texts, (std::vector<std::string>{"text 1", "text 2", "text 3", "text 4", "text 5"}));
  ASSERT_EQ(d.log.ended.size(), 5u);
  for (const AttemptEnd& end : d.log.ended) {
    ASSERT_TRUE(end.result.has_value());
    EXPECT_EQ(end.result->label, 1);
    EXPECT_EQ(end.usage.prompt_tokens, 10);
  }
  EXPECT_EQ(d.log.over, std::vector<std::string>{""});
  const DispatchCounts counts = d.dispatcher->counts();
  EXPECT_EQ(counts.sent, 5);
  EXPECT_EQ(counts.answered, 5);
  EXPECT_EQ(counts.in_flight, 0);
}

TEST(Dispatcher, NeverMoreInFlightThanAllowed) {
  DispatchOptions options;
  options.concurrency = 3;
  Dispatch d(40, options, [](const http::HttpRequest&, int64_t) { return label(); });
  EXPECT_EQ(d.run(), StopReason::kNone);
  EXPECT_EQ(d.most_in_flight, 3);
}

// What ended and is not on the disk would be sent, and paid, again after a crash: it keeps its place.
TEST(Dispatcher, AnAnswerKeepsItsPlaceUntilItIsOnTheDisk) {
  DispatchOptions options;
  options.concurrency = 4;
  options.deadline_seconds = 60;
  Dispatch d(40, options, [](const http::HttpRequest&, int64_t) { return label(); });
  d.log.keeps = false;
  EXPECT_EQ(d.run(), StopReason::kDeadline);
  EXPECT_EQ(d.log.started.size(), 4u);
  EXPECT_EQ(d.log.ended.size(), 4u);
}

TEST(Dispatcher, WaitsLongerAfterEachFailureAndGivesUpAfterItsAttempts) {
  DispatchOptions options;
  options.most_attempts = 5;
  Dispatch d(1, options, [](const http::HttpRequest&, int64_t) { return refused(500); });
  EXPECT_EQ(d.run(), StopReason::kNone);
  const std::vector<int64_t> at = d.times();
  ASSERT_EQ(at.size(), 5u);
  for (size_t i = 1; i < at.size(); ++i) {
    const int64_t waited = at[i] - at[i - 1] - 1, most = 500 << (i - 1);  // a millisecond is the answer's
    EXPECT_GE(waited, most / 2) << i;
    EXPECT_LE(waited, most) << i;
    EXPECT_EQ(d.log.started[i].kind, AttemptKind::kRetry);
  }
  EXPECT_EQ(d.log.results(AskState::kFailed), 1);
  EXPECT_TRUE(contains(d.log.ended.back().result->error, "500"));
  EXPECT_TRUE(contains(d.log.ended.back().result->error, "(after 5 attempts)"));
}

TEST(Dispatcher, ALostAnswerMayHaveBeenPaidForAndSaysSo) {
  Dispatch d(1, {}, [](const http::HttpRequest&, int64_t before) {
    return before == 0 ? Answer{0, "", {}, 9} : label();
  });
  EXPECT_EQ(d.run(), StopReason::kNone);
  ASSERT_EQ(d.log.ended.size(), 2u);
  EXPECT_TRUE(d.log.ended[0].unknown);
  EXPECT_FALSE(d.log.ended[1].unknown);
  EXPECT_EQ(d.log.results(AskState::kAnswered), 1);
}

TEST(Dispatcher, BeingToldToWaitUsesNoAttemptUpAndBindsAllThatShareTheKey) {
  DispatchOptions options;
  options.most_attempts = 2;
  options.concurrency = 2;
  Dispatch d(6, options, [](const http::HttpRequest&, int64_t before) {
    return before < 5 ? refused(429, "", {{"retry-after", "7"}}) : label();
  });
  EXPECT_EQ(d.run(), StopReason::kNone);
  EXPECT_EQ(d.log.results(AskState::kAnswered), 6);
  // Two went out before the first answer; after each answer nothing for seven seconds.
  std::vector<int64_t> at = d.times();
  int64_t refusals = 2;
  for (size_t i = 2; i < at.size() && refusals < 5; ++i, ++refusals) EXPECT_GE(at[i], at[i - 2] + 7000) << i;
  EXPECT_GE(d.took, 7000 * 3);
  EXPECT_GE(d.dispatcher->counts().throttled, 5);
}

TEST(Dispatcher, RequestsAMinute) {
  DispatchOptions options;
  options.requests_per_minute = 60;
  options.concurrency = 1000;
  Dispatch d(130, options, [](const http::HttpRequest&, int64_t) { return label(); });
  EXPECT_EQ(d.run(), StopReason::kNone);
  const std::vector<int64_t> at = d.times();
  ASSERT_EQ(at.size(), 130u);
  // A minute's worth may go at once, then one a second: in no minute more than twice the rate, 130 in 70 seconds.
  EXPECT_LT(at[59], 1000);
  EXPECT_GE(at[60], 900);
  EXPECT_GE(at[129], 69'000);
  EXPECT_LE(at[129], 75'000);
}

TEST(Dispatcher, TheDeadlineEndsSendingAndWhatIsInFlightIsWaitedFor) {
  DispatchOptions options;
  options.concurrency = 1;
  options.deadline_seconds = 10;
  Dispatch d(100, options, [](const http::HttpRequest&, int64_t) {
    Answer slow = label();
    slow.after_ms = 3000;
    return slow;
  });
  EXPECT_EQ(d.run(), StopReason::kDeadline);
  EXPECT_EQ(d.log.started.size(), 4u);  // at 0, 3, 6 and 9 s
  EXPECT_EQ(d.log.results(AskState::kAnswered), 4);
  EXPECT_EQ(d.log.over, std::vector<std::string>{"budget: --deadline passed"});
}

TEST(Dispatcher, WithoutAnyAnswerItGivesUpAndTriesSeldom) {
  DispatchOptions options;
  options.give_up_seconds = 600;
  options.concurrency = 16;
  Dispatch d(100, options, [](const http::HttpRequest&, int64_t) { return Answer{0, "", {}, 5}; });
  EXPECT_EQ(d.run(), StopReason::kUnavailable);
  EXPECT_GE(d.took, 600'000);
  EXPECT_LE(d.took, 610'000);
  EXPECT_TRUE(contains(d.dispatcher->stop_message(), "timed out"));
  // The breaker opens after ten; then one at a time, a second apart at first and a minute at last.
  EXPECT_LE(d.log.started.size(), 16u + 20u);
  EXPECT_EQ(d.log.results(AskState::kFailed), 0);
}

TEST(Dispatcher, TheBudgetOfRequestsCountsEarlierRunsAndRetries) {
  DispatchOptions options;
  options.most_requests = 10;
  Ledger spent;
  spent.attempts = 4;
  Dispatch d(
      100, options, [](const http::HttpRequest&, int64_t before) { return before == 0 ? refused(500) : label(); },
      spent);
  EXPECT_EQ(d.run(), StopReason::kRequests);
  EXPECT_EQ(d.log.started.size(), 6u);
  EXPECT_EQ(d.log.over, std::vector<std::string>{"budget: --max-requests reached"});
}

TEST(Dispatcher, CostIsReservedAtItsMostAndSettledByTheAnswer) {
  DispatchOptions options;
  options.price = llm::Price{3, 5};
  Dispatch one(1, options, [](const http::HttpRequest&, int64_t) { return label(); });
  EXPECT_EQ(one.run(), StopReason::kNone);
  const int64_t most = one.log.started[0].most_cost;
  EXPECT_EQ(one.log.ended[0].cost, 3 * 10 + 5 * 2);
  ASSERT_GT(most, one.log.ended[0].cost);
  // Room for two reservations, so never more than two in flight; and every answer frees what it did not use.
  options.most_cost = 2 * most;
  int64_t reserved = 0;
  std::optional<Dispatch> many;
  many.emplace(1000, options, [&](const http::HttpRequest&, int64_t) {
    int64_t known = 0;
    for (const AttemptEnd& e : many->log.ended) known += e.cost;
    const auto flying = static_cast<int64_t>(many->log.started.size() - many->log.ended.size());
    reserved = std::max(reserved, known + flying * most);
    return label();
  });
  EXPECT_EQ(many->run(), StopReason::kCost);
  EXPECT_EQ(many->most_in_flight, 2);
  EXPECT_LE(many->dispatcher->counts().cost, 2 * most);
  EXPECT_GT(many->dispatcher->counts().cost, most);
  EXPECT_LE(reserved, 2 * most + 20 * 5);  // texts of several digits are a byte or two longer
}

TEST(Dispatcher, AnAnswerThatIsNoLabelIsAskedAboutOnceMore) {
  Dispatch d(2, {}, [](const http::HttpRequest& request, int64_t) {
    const Json messages = Json::parse(request.body)["messages"];
    if (messages[0]["content"] == "text 1") return said("neither");
    return messages.size() > 1 ? label() : said("neither");
  });
  EXPECT_EQ(d.run(), StopReason::kNone);
  ASSERT_EQ(d.log.started.size(), 4u);
  EXPECT_EQ(d.log.started[2].kind, AttemptKind::kCorrection);
  EXPECT_EQ(d.log.started[3].kind, AttemptKind::kCorrection);
  EXPECT_EQ(d.log.results(AskState::kAnswered), 1);
  EXPECT_EQ(d.log.results(AskState::kFailed), 1);
  EXPECT_EQ(d.dispatcher->counts().corrected, 2);
}

TEST(Dispatcher, WhatWillNeverSucceedEndsSendingAtOnce) {
  const auto run = [](const Answer& answer, int64_t& sent, std::string& why) {
    DispatchOptions options;
    options.concurrency = 1;
    Dispatch d(500, options, [&](const http::HttpRequest&, int64_t) { return answer; });
    const StopReason reason = d.run();
    sent = d.asked, why = d.log.over.front();
    return reason;
  };
  int64_t sent = 0;
  std::string why;
  EXPECT_EQ(run(refused(429, "insufficient_quota"), sent, why), StopReason::kQuota);
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(why, "quota: the account is spent");
  EXPECT_EQ(run(refused(401), sent, why), StopReason::kUnauthorized);
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(run(refused(400), sent, why), StopReason::kRefused);
  EXPECT_EQ(sent, 50);
}

TEST(Dispatcher, ADialectThatIsRefusedIsLeftForGood) {
  Dispatch d(5, {}, [](const http::HttpRequest& request, int64_t) {
    if (!Json::parse(request.body).contains("response_format")) return label();
    const Json body = {{"error", {{"message", "response_format is not supported"}, {"param", "response_format"}}}};
    return Answer{400, body.dump(), {}, 1};
  });
  EXPECT_EQ(d.run(), StopReason::kNone);
  EXPECT_EQ(d.log.results(AskState::kAnswered), 5);
  EXPECT_EQ(d.log.started.size(), 10u);  // all five were on their way
}

TEST(Dispatcher, StoppingWaitsForWhatIsInFlightUnlessItMustEndNow) {
  for (const bool now : {false, true}) {
    std::optional<Dispatch> d;
    DispatchOptions options;
    options.concurrency = 4;
    d.emplace(100, options, [&](const http::HttpRequest&, int64_t before) {
      if (before == 3) d->dispatcher->stop(now);
      return label();
    });
    EXPECT_EQ(d->run(), StopReason::kInterrupted);
    EXPECT_EQ(d->log.started.size(), 4u);
    EXPECT_EQ(d->log.ended.size(), now ? 0u : 4u);
    EXPECT_EQ(d->log.over, std::vector<std::string>{""});  // the rest of the output is not written
  }
}

TEST(Dispatcher, ACancelledJobSaysSo) {
  std::optional<Dispatch> d;
  d.emplace(100, DispatchOptions{}, [&](const http::HttpRequest&, int64_t before) {
    if (before == 0) d->dispatcher->cancel();
    return label();
  });
  EXPECT_EQ(d->run(), StopReason::kCancelled);
  EXPECT_EQ(d->log.ended.size(), d->log.started.size());
  EXPECT_LT(d->log.started.size(), 100u);
  EXPECT_EQ(d->log.over, std::vector<std::string>{"cancelled"});
}

TEST(Dispatcher, AHeldOneSendsNothing) {
  Dispatch d(5, {}, [](const http::HttpRequest&, int64_t) { return label(); });
  d.dispatcher->hold(StopReason::kHeld);
  EXPECT_EQ(d.run(), StopReason::kHeld);
  EXPECT_EQ(d.asked, 0);
  EXPECT_EQ(d.log.over, std::vector<std::string>{"held: not asked yet"});
}

TEST(Dispatcher, NothingIsSentOnceTheJournalCannotKeepIt) {
  std::optional<Dispatch> d;
  DispatchOptions options;
  options.concurrency = 1;
  d.emplace(100, options, [&](const http::HttpRequest&, int64_t before) {
    if (before == 2) {
      d->log.broken = io_error("disk full");
      d->dispatcher->deliver({}, true);
    }
    return label();
  });
  d->run();
  EXPECT_EQ(d->asked, 3);
}

}  // namespace
}  // namespace tracer::job
