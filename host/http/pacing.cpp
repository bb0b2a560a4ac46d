#include "host/http/pacing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "host/io/plain_text.h"

namespace tracer::http {

void Bucket::fill(int64_t now) {
  if (now > filled_at_) {
    level_ = std::min(per_minute_, level_ + per_minute_ * static_cast<double>(now - filled_at_) / 60'000);
    filled_at_ = now;
  }
}

int64_t Bucket::ready_at(double amount, int64_t now) {
  if (per_minute_ <= 0) return 0;
  fill(now);
  const double missing = std::min(amount, per_minute_) - level_;
  return missing <= 0 ? 0 : now + static_cast<int64_t>(std::ceil(missing / per_minute_ * 60'000));
}

void Bucket::take(double amount, int64_t now) {
  if (per_minute_ <= 0) return;
  fill(now);
  level_ -= amount;
}

void Bucket::give(double amount) {
  if (per_minute_ > 0) level_ = std::min(per_minute_, level_ + amount);
}

int64_t RateLimit::ready_at(int64_t tokens, int64_t now) {
  return std::max({paused_until_, requests_.ready_at(1, now), tokens_.ready_at(static_cast<double>(tokens), now)});
}

void RateLimit::take(int64_t tokens, int64_t now) {
  requests_.take(1, now);
  tokens_.take(static_cast<double>(tokens), now);
}

void RateLimit::learn(const HttpResponse& response, int64_t now) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
      {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"}};
  for (const auto& [remaining, reset] : kPairs) {
    if (response.header(remaining) != "0") continue;
    const int64_t wait = duration_ms(response.header(reset));
    if (wait > 0) pause_until(now + wait);
  }
}

void Concurrency::answered() { limit_ = std::min(static_cast<double>(most_), limit_ + (probing_ ? 1 : 1 / limit_)); }

void Concurrency::pushed_back(int64_t started, int64_t now) {
  probing_ = false;
  if (started <= halved_at_) return;  // sent before the last halving: it says nothing about the new limit
  limit_ = std::max(1.0, limit_ / 2);
  halved_at_ = now;
}

void Breaker::answered() {
  failures_ = 0;
  open_ = trial_ = false;
  wait_ms_ = kShortestMs;
}

void Breaker::failed(int64_t now, bool trial) {
  if (++failures_ < kFailures) return;
  if (open_ && !trial) return;  // was on its way when the breaker opened
  if (open_) wait_ms_ = std::min(kLongestMs, 2 * wait_ms_);
  open_ = true;
  trial_ = false;
  next_ = now + wait_ms_;
}

}  // namespace tracer::http
