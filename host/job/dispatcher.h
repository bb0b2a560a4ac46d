// Sends asks to the LLM: within the rates, the budget and what the server bears; retries what may succeed later.
//
// One thread runs it. Every attempt is told to the journal before it is sent and after it ended; an answer counts once
// the journal has committed it. Asks go out in the order of their first rows, retries when they are due.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/http/http_client.h"
#include "host/http/pacing.h"
#include "host/http/retry.h"
#include "host/io/clock.h"
#include "host/job/dispatch_log.h"
#include "host/job/stop_reason.h"
#include "host/llm/chat_api.h"
#include "host/llm/prices.h"
#include "host/llm/prompt.h"

namespace tracer::job {

struct DispatchOptions {
  int64_t concurrency = 64;  // requests in flight or not yet on the disk: what a crash can cost, at most
  double requests_per_minute = 0, tokens_per_minute = 0;  // 0: no limit of ours
  int most_attempts = 6;                                  // of one ask; being told to wait (429) uses none up
  double give_up_seconds = 3600;                          // without any answer, while asking
  std::optional<llm::Price> price;
  std::optional<int64_t> most_cost;        // picodollars, what earlier runs of the job spent included
  std::optional<int64_t> most_requests;    // likewise
  std::optional<double> deadline_seconds;  // from run()
  bool structured = true;
  uint64_t seed = 0;  // of the jitter
  io::ClockMs clock = io::steady_ms;
};

struct DispatchCounts {
  int64_t sent = 0, answered = 0, failed = 0, retried = 0, corrected = 0, throttled = 0;
  int64_t in_flight = 0, limit = 0;
  int64_t cost = 0;      // picodollars, of this run
  bool waiting = false;  // the server is not reached, or asked for patience
};

class Dispatcher {
 public:
  // spent: the cost and requests of earlier runs of the job. All references must outlive it.
  Dispatcher(const DispatchOptions& options, const llm::ChatApi& api, const llm::Prompt& prompt,
             std::unique_ptr<http::HttpSender> http, DispatchLog& journal, const Ledger& spent);

  // Until everything is answered or sending has ended, and nothing is in flight. Tells the journal.
  void run();
  // Before run(): it sends nothing, and says so to the journal.
  void hold(StopReason why) { end_sending(why); }
  // Any thread. deliver(): see Journal::Deliver. stop(): sends nothing more, waits for what is in flight; with `now`
  // not even that. cancel(): the same, for good; rows without an answer are written.
  void deliver(std::vector<PendingAsk> asks, bool end);
  void kept(int64_t attempts);  // see Journal::Kept
  void stop(bool now);
  void cancel();
  DispatchCounts counts() const;
  // After run().
  StopReason stop_reason() const { return stopped_; }
  const std::string& stop_message() const { return message_; }  // what the server said

 private:
  struct Try {
    PendingAsk ask;
    int attempts = 0;  // that counted
    int throttled = 0;
    bool retry = false;
    // Of the attempt in flight.
    int64_t attempt = 0;
    AttemptKind kind = AttemptKind::kFirst;
    llm::Dialect dialect;
    int64_t reserved_cost = 0, reserved_tokens = 0;
    int64_t started_ms = 0;
    bool trial = false;  // the breaker's
  };
  struct Later {
    int64_t at;
    uint64_t order;
    std::unique_ptr<Try> it;
    bool operator<(const Later& o) const { return at != o.at ? at > o.at : order > o.order; }  // earliest on top
  };

  void take_inbox();
  // Sends what may be sent. Returns when the next may, kNever when only an event can tell.
  int64_t send_ready(int64_t now);
  bool over_budget(int64_t cost);
  Status send(std::unique_ptr<Try> it, std::string body, int64_t now);
  void ended(const http::HttpResponse& response);
  void answered(Try& it, const http::HttpResponse& response, AttemptEnd& end);
  bool retry_later(std::unique_ptr<Try>& it, const http::Verdict& verdict, AttemptEnd& end);
  int64_t at_stake() const;  // requests that a crash now could make us send, and pay, again
  void fail(AttemptEnd& end, const std::string& error);
  void end_sending(StopReason reason, const std::string& message = "");
  void publish();

  const DispatchOptions options_;
  const llm::ChatApi& api_;
  const llm::Prompt& prompt_;
  const std::unique_ptr<http::HttpSender> http_;
  DispatchLog& journal_;

  http::RateLimit rate_;
  http::Concurrency concurrency_;
  http::Breaker breaker_;
  llm::Dialect dialect_;
  std::queue<std::unique_ptr<Try>> ready_;
  std::priority_queue<Later> later_;
  std::unordered_map<uint64_t, std::unique_ptr<Try>> flying_;
  int64_t spent_cost_ = 0, spent_requests_ = 0, reserved_cost_ = 0;
  uint64_t order_ = 0;
  int64_t started_ms_ = 0, heard_ms_ = 0;
  int64_t row_failures_ = 0;
  bool wanted_ = false, ended_ = false;
  bool broken_ = false;  // the journal keeps nothing any more
  StopReason stopped_ = StopReason::kNone;
  std::string message_;
  DispatchCounts now_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<PendingAsk> inbox_;
  bool inbox_end_ = false, inbox_new_ = false;
  DispatchCounts counts_;
  int64_t ended_attempts_ = 0;             // told to the journal
  std::atomic<int64_t> kept_attempts_{0};  // of them, on the disk
  std::atomic<int> stop_{0};               // 1: no more sending; 2: not even waiting
  std::atomic<bool> cancelled_{false};
};

}  // namespace tracer::job
