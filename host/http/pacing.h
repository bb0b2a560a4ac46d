// How fast requests may go out: rates of the key, the server's own word on them, and how many at once. Times are
// milliseconds of any steady clock, given by the caller; nothing here waits. One thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "host/http/http_client.h"

namespace tracer::http {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// A token bucket that may be filled a minute's worth at most; rate 0: no limit.
class Bucket {
 public:
  explicit Bucket(double per_minute = 0) : per_minute_(per_minute), level_(per_minute) {}
  // When `amount` can be taken: now or earlier means at once. More than a minute's worth waits for a full bucket.
  int64_t ready_at(double amount, int64_t now);
  void take(double amount, int64_t now);
  // Gives back what was reserved and not used.
  void give(double amount);

 private:
  void fill(int64_t now);
  double per_minute_;
  double level_;
  int64_t filled_at_ = 0;
};

// The rates of one (address, key): --rpm and --tpm, a pause that an answer asked for (it binds everything that shares
// the key, so that no other request hammers a limit that one has met), and what x-ratelimit-* headers tell.
class RateLimit {
 public:
  RateLimit(double requests_per_minute, double tokens_per_minute)
      : requests_(requests_per_minute), tokens_(tokens_per_minute) {}

  int64_t ready_at(int64_t tokens, int64_t now);
  void take(int64_t tokens, int64_t now);
  void settle(int64_t reserved, int64_t used) { tokens_.give(static_cast<double>(reserved - used)); }
  void pause_until(int64_t at) { paused_until_ = at > paused_until_ ? at : paused_until_; }
  // x-ratelimit-remaining-{requests,tokens} of 0 with a readable x-ratelimit-reset-* ("6m0s", "250ms", "1.5") pauses
  // until then; anything else (Azure has sent -1) says nothing.
  void learn(const HttpResponse& response, int64_t now);

 private:
  Bucket requests_;
  Bucket tokens_;
  int64_t paused_until_ = 0;
};

// How many requests at once: grows by one an answer until the server first pushes back, then by one a round of
// answers, and halves when it pushes back (additive increase, multiplicative decrease; Chiu and Jain 1989), once a
// round at most.
class Concurrency {
 public:
  explicit Concurrency(int64_t most) : most_(most), limit_(most < kFirst ? static_cast<double>(most) : kFirst) {}
  int64_t limit() const { return static_cast<int64_t>(limit_); }
  void answered();
  // started: when the request that was pushed back was sent.
  void pushed_back(int64_t started, int64_t now);

 private:
  static constexpr double kFirst = 16;
  int64_t most_;
  double limit_;
  bool probing_ = true;
  int64_t halved_at_ = -1;
};

// Stops sending while nothing succeeds: after kFailures failures in a row, one request at a time is let through, the
// first after 1 s, and after each that fails too a wait twice as long, up to 60 s. The first answer closes it.
class Breaker {
 public:
  static constexpr int kFailures = 10;
  static constexpr int64_t kShortestMs = 1000, kLongestMs = 60'000;
  // When the next request may go: kNever while a trial is out.
  int64_t ready_at() const { return !open_ ? 0 : trial_ ? kNever : next_; }
  bool open() const { return open_; }
  // Whether the request that goes now is the trial: to be said again when it fails.
  bool sent() { return trial_ = open_; }
  // By anything that shows the server at work: an answer, a refusal, being told to wait.
  void answered();
  void failed(int64_t now, bool trial);

 private:
  int failures_ = 0;
  bool open_ = false;
  bool trial_ = false;
  int64_t next_ = 0;
  int64_t wait_ms_ = kShortestMs;
};

}  // namespace tracer::http
