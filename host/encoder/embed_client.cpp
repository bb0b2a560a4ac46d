#include "host/encoder/embed_client.h"

#include <algorithm>

#include "engine/maths/random.h"
#include "host/io/clock.h"

namespace tracer {
namespace {

constexpr int64_t kStopCheckMs = 100;

}  // namespace

EmbedClient::EmbedClient(EmbedApi api, EmbedClientOptions options, std::unique_ptr<http::HttpSender> http)
    : api_(std::move(api)),
      options_(std::move(options)),
      http_(std::move(http)),
      concurrency_(options_.concurrency),
      batch_(options_.batch) {}

Status EmbedClient::embed(std::span<const std::string_view> texts, std::span<const int64_t> rows, const Got& got) {
  Call call{texts, rows, got, 0, {}, {}, {}, {}, options_.clock()};
  std::vector<http::HttpResponse> done;
  while (true) {
    if (options_.stopped && options_.stopped()) return {ErrorCode::kInterrupted, "stopped"};
    TRACER_ASSIGN_OR_RETURN(auto next, send_ready(call, options_.clock()));
    if (call.flying.empty() && (!call.failed.ok() || next == http::kNever)) return call.failed;
    const int64_t wait =
        next == http::kNever ? kStopCheckMs : std::clamp<int64_t>(next - options_.clock(), 0, kStopCheckMs);
    TRACER_RETURN_IF_ERROR(http_->poll(wait, done));
    for (const http::HttpResponse& response : done) ended(call, response, options_.clock());
    done.clear();
  }
}

Result<int64_t> EmbedClient::send_ready(Call& call, int64_t now) {
  const auto left = [&] { return call.next < static_cast<int64_t>(call.texts.size()) || !call.ready.empty(); };
  if (!call.failed.ok()) return http::kNever;
  while (left() || !call.later.empty()) {
    if (static_cast<int64_t>(call.flying.size()) >= concurrency_.limit()) return http::kNever;
    const bool due = !call.later.empty() && call.later.top().at <= now;
    if (!due && !left()) return call.later.top().at;
    if (const int64_t at = rate_.ready_at(0, now); at > now) return at;
    Batch batch;
    if (due) {
      batch = call.later.top().batch;
      call.later.pop();
    } else if (!call.ready.empty()) {
      batch = call.ready.front();
      call.ready.pop_front();
    } else {
      batch.number = ++batches_;
      batch.first = call.next;
      batch.count = std::min(batch_, static_cast<int64_t>(call.texts.size()) - call.next);
      call.next += batch.count;
    }
    TRACER_RETURN_IF_ERROR(send(call, batch, now));
  }
  return http::kNever;
}

Status EmbedClient::send(Call& call, Batch batch, int64_t now) {
  http::HttpRequest request;
  request.id = ++sent_;
  request.url = api_.url();
  request.headers = api_.headers();
  request.body = api_.body(call.texts.subspan(static_cast<size_t>(batch.first), static_cast<size_t>(batch.count)));
  rate_.take(0, now);
  ++counts_.requests;
  counts_.texts += batch.count;
  if (batch.again) ++counts_.retried;
  batch.started_ms = now;
  call.flying.emplace(request.id, batch);
  return http_->submit(std::move(request));
}

void EmbedClient::ended(Call& call, const http::HttpResponse& response, int64_t now) {
  const auto at = call.flying.find(response.id);
  if (at == call.flying.end()) return;  // of a call that was stopped
  Batch batch = at->second;
  call.flying.erase(at);
  rate_.learn(response, now);
  const bool good = response.status >= 200 && response.status < 300;
  const http::ApiError said = good ? http::ApiError{} : http::parse_api_error(response.body);
  const http::Verdict verdict = http::judge(response, said, io::now_seconds());
  if (verdict.outcome != http::Outcome::kRetry) call.heard_ms = now;
  switch (verdict.outcome) {
    case http::Outcome::kAnswered:
      concurrency_.answered();
      answered(call, batch, response, now);
      break;
    case http::Outcome::kRetry:
      retry(call, batch, response, verdict, now);
      break;
    case http::Outcome::kRowFailed:
      refused(call, batch, verdict.error);
      break;
    case http::Outcome::kQuota:
    case http::Outcome::kUnauthorized:
      fail(call, batch, ErrorCode::kIo, verdict.error);
      break;
  }
}

void EmbedClient::answered(Call& call, Batch& batch, const http::HttpResponse& response, int64_t now) {
  Matrix<float> vectors;
  const auto fault = parse_embeddings(api_.options().dialect, response.body, batch.count, dimension_, vectors);
  if (!fault) {
    dimension_ = vectors.cols();
    call.got(batch.first, std::as_const(vectors).view());
    return;
  }
  if (!fault->no_json) return fail(call, batch, ErrorCode::kBadInput, fault->what, fault->row);
  http::Verdict verdict;
  verdict.outcome = http::Outcome::kRetry;
  verdict.error = fault->what;
  retry(call, batch, response, verdict, now);
}

void EmbedClient::retry(Call& call, Batch& batch, const http::HttpResponse& response, const http::Verdict& verdict,
                        int64_t now) {
  if (verdict.throttled) {
    ++counts_.throttled;
    concurrency_.pushed_back(batch.started_ms, now);
    // The limit is the key's: what else is sent before would be refused too.
    if (verdict.retry_after_ms) rate_.pause_until(now + *verdict.retry_after_ms);
  }
  const bool patience = response.status == 429;
  if (!patience && ++batch.attempts >= options_.most_attempts)
    return fail(call, batch, ErrorCode::kIo,
                verdict.error + " (after " + std::to_string(batch.attempts) + " attempts)");
  if (static_cast<double>(now - call.heard_ms) >= options_.give_up_seconds * 1000)
    return fail(call, batch, ErrorCode::kIo, verdict.error + " (no answer for so long that asking ends)");
  const int tries = patience ? ++batch.throttled : batch.attempts;
  const double jitter = Random(options_.seed, Stream::kBackoff).uniform(sent_);
  batch.again = true;
  call.later.push({now + std::max(verdict.retry_after_ms.value_or(0), http::backoff_ms(tries, jitter)), batch});
}

void EmbedClient::refused(Call& call, Batch& batch, const std::string& why) {
  if (batch.count == 1) return fail(call, batch, ErrorCode::kBadInput, why, 0);
  // Too much at once, or one text that the server does not take: halves tell which.
  ++counts_.split;
  const int64_t half = batch.count / 2;
  batch_ = std::min(batch_, half);
  Batch second = batch;
  second.number = ++batches_;
  second.first += half, second.count -= half;
  batch.count = half;
  call.ready.push_front(second);
  call.ready.push_front(batch);
}

void EmbedClient::fail(Call& call, const Batch& batch, ErrorCode code, const std::string& what, int64_t row) {
  if (!call.failed.ok()) return;
  std::string where = api_.name();
  if (call.rows.empty()) {
    call.failed = {code, where + ": " + api_.without_key(what)};
    return;
  }
  const int64_t first = call.rows[batch.first], last = call.rows[batch.first + batch.count - 1];
  where += ": batch " + std::to_string(batch.number);
  if (row >= 0)
    where += ", row " + std::to_string(call.rows[batch.first + row]);
  else
    where += first == last ? ", row " + std::to_string(first)
                           : ", rows " + std::to_string(first) + " to " + std::to_string(last);
  call.failed = {code, where + ": " + api_.without_key(what)};
}

}  // namespace tracer
