#include "host/job/dispatcher.h"

#include <algorithm>

#include "engine/maths/random.h"
#include "host/io/clock.h"
#include "host/io/plain_text.h"
#include "host/job/answer.h"

namespace tracer::job {
namespace {

using http::kNever;

constexpr int64_t kRefusedInARow = 50;  // requests refused before anything was answered: it is not the rows

}  // namespace

Dispatcher::Dispatcher(const DispatchOptions& options, const llm::ChatApi& api, const llm::Prompt& prompt,
                       std::unique_ptr<http::HttpSender> http, DispatchLog& journal, const Ledger& spent)
    : options_(options),
      api_(api),
      prompt_(prompt),
      http_(std::move(http)),
      journal_(journal),
      rate_(options.requests_per_minute, options.tokens_per_minute),
      concurrency_(options.concurrency),
      spent_cost_(spent.most_cost),
      spent_requests_(spent.attempts) {
  dialect_.structured = options.structured;
}

void Dispatcher::deliver(std::vector<PendingAsk> asks, bool end) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    inbox_.insert(inbox_.end(), std::make_move_iterator(asks.begin()), std::make_move_iterator(asks.end()));
    inbox_end_ = inbox_end_ || end;
    inbox_new_ = true;
  }
  http_->wake();
}

void Dispatcher::kept(int64_t attempts) {
  kept_attempts_.fetch_add(attempts);
  http_->wake();
}

int64_t Dispatcher::at_stake() const {
  return static_cast<int64_t>(flying_.size()) + ended_attempts_ - kept_attempts_.load();
}

void Dispatcher::stop(bool now) {
  stop_.store(now ? 2 : std::max(1, stop_.load()));
  http_->wake();
}

void Dispatcher::cancel() {
  if (!cancelled_.exchange(true)) http_->wake();
}

DispatchCounts Dispatcher::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void Dispatcher::publish() {
  now_.in_flight = static_cast<int64_t>(flying_.size());
  now_.limit = concurrency_.limit();
  const std::lock_guard<std::mutex> lock(mutex_);
  counts_ = now_;
}

void Dispatcher::take_inbox() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!inbox_new_) return;
  for (PendingAsk& ask : inbox_) {
    auto it = std::make_unique<Try>();
    it->ask = std::move(ask);
    ready_.push(std::move(it));
  }
  inbox_.clear();
  inbox_new_ = wanted_ = false;
  ended_ = inbox_end_;
}

void Dispatcher::end_sending(StopReason reason, const std::string& message) {
  if (stopped_ != StopReason::kNone) return;
  stopped_ = reason;
  message_ = message;
}

void Dispatcher::run() {
  started_ms_ = heard_ms_ = options_.clock();
  std::vector<http::HttpResponse> done;
  while (true) {
    take_inbox();
    if (ended_ && !journal_.failure().ok()) broken_ = true;
    const int asked_to_stop = stop_.load();
    if (asked_to_stop > 0) end_sending(StopReason::kInterrupted);
    if (cancelled_.load()) end_sending(StopReason::kCancelled);
    if (asked_to_stop > 1 || broken_) break;
    const int64_t now = options_.clock();
    int64_t next = kNever;
    if (stopped_ == StopReason::kNone) next = send_ready(now);
    if (flying_.empty() && (stopped_ != StopReason::kNone || (ended_ && ready_.empty() && later_.empty()))) break;
    publish();
    const int64_t wait = next == kNever ? 1000 : std::clamp<int64_t>(next - options_.clock(), 0, 1000);
    if (const Status polled = http_->poll(wait, done); !polled.ok()) {
      end_sending(StopReason::kUnavailable, polled.message());
      break;
    }
    for (const http::HttpResponse& response : done) ended(response);
    done.clear();
  }
  publish();
  journal_.dispatch_ended(as_flags(to_string(stopped_)));
}

bool Dispatcher::over_budget(int64_t cost) {
  if (options_.most_requests && spent_requests_ >= *options_.most_requests) {
    end_sending(StopReason::kRequests);
    return true;
  }
  if (!options_.most_cost || spent_cost_ + reserved_cost_ + cost <= *options_.most_cost) return false;
  // What is in flight may come out cheaper than it was reserved for.
  if (flying_.empty()) end_sending(StopReason::kCost);
  return true;
}

int64_t Dispatcher::send_ready(int64_t now) {
  if (options_.deadline_seconds && now - started_ms_ >= *options_.deadline_seconds * 1000) {
    end_sending(StopReason::kDeadline);
    return kNever;
  }
  const bool asking = !ready_.empty() || !later_.empty() || !flying_.empty();
  if (!asking) heard_ms_ = now;
  if (asking && now - heard_ms_ >= options_.give_up_seconds * 1000) {
    end_sending(StopReason::kUnavailable, message_);
    return kNever;
  }
  now_.waiting = false;
  while (static_cast<int64_t>(flying_.size()) < concurrency_.limit() && at_stake() < options_.concurrency) {
    const bool due = !later_.empty() && later_.top().at <= now;
    if (!due && ready_.empty()) break;
    if (breaker_.ready_at() > now) {
      now_.waiting = true;
      return breaker_.ready_at();
    }
    // Looked at before it is taken: it may have to stay. (A priority queue's top is const, its pointer's target is
    // not.)
    Try& it = due ? *later_.top().it : *ready_.front();
    it.kind = it.ask.bad_answer ? AttemptKind::kCorrection : it.retry ? AttemptKind::kRetry : AttemptKind::kFirst;
    const auto messages = prompt_.messages(it.ask.input, it.ask.bad_answer);
    std::string body = api_.body(messages, dialect_);
    const llm::Usage most = api_.most_usage(body);
    // Four bytes a token is the common rate; a wrong guess is settled by the answer's own count.
    it.reserved_tokens = static_cast<int64_t>(body.size()) / 4 + most.completion_tokens;
    it.reserved_cost = options_.price ? options_.price->of(most) : 0;
    if (over_budget(it.reserved_cost)) return kNever;
    if (const int64_t at = rate_.ready_at(it.reserved_tokens, now); at > now) {
      now_.waiting = true;
      return at;
    }
    std::unique_ptr<Try> taken;
    if (due) {
      taken = std::move(const_cast<Later&>(later_.top()).it);
      later_.pop();
    } else {
      taken = std::move(ready_.front());
      ready_.pop();
    }
    if (const Status sent = send(std::move(taken), std::move(body), now); !sent.ok()) {
      end_sending(StopReason::kUnavailable, sent.message());
      return kNever;
    }
  }
  // Enough at hand for the next round.
  if (!wanted_ && !ended_ && static_cast<int64_t>(ready_.size()) < options_.concurrency &&
      static_cast<int64_t>(later_.size()) < 4 * options_.concurrency) {
    wanted_ = true;
    journal_.want(2 * options_.concurrency);
  }
  return later_.empty() ? kNever : std::max(later_.top().at, now + 1);
}

Status Dispatcher::send(std::unique_ptr<Try> it, std::string body, int64_t now) {
  it->attempt = journal_.new_attempt();
  it->dialect = dialect_;
  it->started_ms = now;
  rate_.take(it->reserved_tokens, now);
  reserved_cost_ += it->reserved_cost;
  ++spent_requests_;
  ++now_.sent;
  if (it->kind == AttemptKind::kRetry) ++now_.retried;
  if (it->kind == AttemptKind::kCorrection) ++now_.corrected;
  it->trial = breaker_.sent();
  const auto id = static_cast<uint64_t>(it->attempt);
  journal_.attempt_started(it->attempt, it->ask.id, it->kind, it->reserved_cost);
  flying_.emplace(id, std::move(it));
  http::HttpRequest request;
  request.id = id;
  request.url = api_.url();
  request.headers = api_.headers();
  request.body = std::move(body);
  return http_->submit(std::move(request));
}

void Dispatcher::fail(AttemptEnd& end, const std::string& error) {
  end.result = AskResult{AskState::kFailed, -1, error, {}, 0};
  ++now_.failed;
}

// A 2xx: a label, or what is none.
void Dispatcher::answered(Try& it, const http::HttpResponse& response, AttemptEnd& end) {
  take_answer(api_, response.body, it.ask.bad_answer.has_value(), options_.price, it.reserved_cost, end);
  const int64_t used = end.usage.prompt_tokens + end.usage.completion_tokens;
  if (used > 0) rate_.settle(it.reserved_tokens, used);
  if (end.result) ++(end.result->state == AskState::kAnswered ? now_.answered : now_.failed);
}

// True when it will be tried again.
bool Dispatcher::retry_later(std::unique_ptr<Try>& it, const http::Verdict& verdict, AttemptEnd& end) {
  const int64_t now = options_.clock();
  if (verdict.throttled) {
    ++now_.throttled;
    concurrency_.pushed_back(it->started_ms, now);
    // The limit is the key's: what else is sent before would be refused too.
    if (verdict.retry_after_ms) rate_.pause_until(now + *verdict.retry_after_ms);
  }
  const bool patience = end.http_status == 429;
  if (patience) {
    breaker_.answered();
  } else {
    breaker_.failed(now, it->trial);
    if (!breaker_.open() && ++it->attempts >= options_.most_attempts) {
      fail(end, verdict.error + " (after " + std::to_string(it->attempts) + " attempts)");
      return false;
    }
  }
  const int tries = patience ? ++it->throttled : std::max(1, it->attempts);
  const double jitter = Random(options_.seed, Stream::kBackoff).uniform(static_cast<uint64_t>(end.attempt));
  const int64_t wait = std::max(verdict.retry_after_ms.value_or(0), http::backoff_ms(tries, jitter));
  it->retry = true;
  later_.push({now + wait, order_++, std::move(it)});
  return true;
}

void Dispatcher::ended(const http::HttpResponse& response) {
  const auto at = flying_.find(response.id);
  if (at == flying_.end()) return;
  std::unique_ptr<Try> it = std::move(at->second);
  flying_.erase(at);
  const int64_t reserved = it->reserved_cost;
  reserved_cost_ -= reserved;
  const int64_t now = options_.clock();
  rate_.learn(response, now);
  const bool good = response.status >= 200 && response.status < 300;
  const http::ApiError said = good ? http::ApiError{} : http::parse_api_error(response.body);
  const http::Verdict verdict = http::judge(response, said, io::now_seconds());
  AttemptEnd end;
  end.attempt = it->attempt;
  end.ask = it->ask.id;
  end.http_status = response.status;
  end.outcome = verdict.error;
  // It was sent and no answer came: on the other side it may have been worked on, and billed.
  end.unknown = response.status == 0 && response.sent;
  if (verdict.outcome != http::Outcome::kRetry) {
    heard_ms_ = now;
    breaker_.answered();
  }
  if (!good) rate_.settle(it->reserved_tokens, 0);
  switch (verdict.outcome) {
    case http::Outcome::kAnswered:
      concurrency_.answered();
      answered(*it, response, end);
      row_failures_ = 0;
      now_.cost += end.cost;
      if (!end.result && !end.bad_answer) {  // a proxy's page, or half a document: not the model's answer
        message_ = end.outcome;
        http::Verdict again;
        again.outcome = http::Outcome::kRetry;
        again.error = end.outcome;
        (void)retry_later(it, again, end);
      } else if (!end.result) {
        it->ask.bad_answer = end.bad_answer;
        later_.push({now, order_++, std::move(it)});
      }
      break;
    case http::Outcome::kRetry:
      message_ = verdict.error;
      (void)retry_later(it, verdict, end);
      break;
    case http::Outcome::kRowFailed: {
      const auto other = llm::other_dialect(it->dialect, said);
      if (it->dialect != dialect_ || other) {
        if (it->dialect == dialect_) dialect_ = *other;
        it->retry = true;
        later_.push({now, order_++, std::move(it)});
        break;
      }
      fail(end, verdict.error);
      if (++row_failures_ >= kRefusedInARow && now_.answered == 0) end_sending(StopReason::kRefused, verdict.error);
      break;
    }
    case http::Outcome::kQuota:
      end_sending(StopReason::kQuota, verdict.error);
      break;
    case http::Outcome::kUnauthorized:
      end_sending(StopReason::kUnauthorized, verdict.error);
      break;
  }
  ++ended_attempts_;
  spent_cost_ += end.unknown ? reserved : end.cost;
  journal_.attempt_ended(std::move(end));
}

}  // namespace tracer::job
