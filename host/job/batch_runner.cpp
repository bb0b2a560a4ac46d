#include "host/job/batch_runner.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "host/io/clock.h"

namespace tracer::job {
namespace {

constexpr int kMostBarren = 3;
constexpr double kClockSkewSeconds = 3600;  // between the server's clock and ours
constexpr int64_t kLateMs = 5000;           // a batch may be listed so long after it was made

// Before attempt `attempt` + 1.
int64_t pause_ms(const http::Verdict& verdict, int attempt) {
  return verdict.retry_after_ms.value_or(http::backoff_ms(attempt, 1.0));
}

}  // namespace

BatchRunner::BatchRunner(const BatchRunOptions& options, Store& store, const llm::ChatApi& chat,
                         const llm::Prompt& prompt, llm::BatchApi& remote, std::string files,
                         std::function<bool()> stopped, std::function<void(const std::string&)> note)
    : options_(options),
      store_(store),
      chat_(chat),
      prompt_(prompt),
      remote_(remote),
      files_(std::move(files)),
      stopped_(std::move(stopped)),
      note_(std::move(note)) {}

std::string BatchRunner::file(const Batch& batch, const std::string& what) const {
  return files_ + "-" + std::to_string(batch.id) + "." + what + ".jsonl";
}

std::string BatchRunner::tag(const Batch& batch) const {
  return store_.config().job_id + "-" + std::to_string(batch.id);
}

bool BatchRunner::end(StopReason reason, const std::string& message) {
  if (stop_ == StopReason::kNone) {
    stop_ = reason;
    message_ = message;
  }
  return false;
}

// False when the run has to end instead.
bool BatchRunner::wait(int64_t ms) {
  constexpr int64_t kSliceMs = 50;
  const int64_t until = io::steady_ms() + ms;
  while (true) {
    if (stopped_()) return end(StopReason::kInterrupted);
    const int64_t now = io::steady_ms();
    if (options_.deadline_seconds && static_cast<double>(now - began_ms_) > *options_.deadline_seconds * 1000)
      return end(StopReason::kDeadline);
    if (now >= until) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(kSliceMs, until - now)));
  }
}

// Whether what the server said ends the run; then it has.
bool BatchRunner::ends(const http::Verdict& verdict) {
  const bool silent = static_cast<double>(io::steady_ms() - heard_ms_) > options_.give_up_seconds * 1000;
  if (verdict.outcome == http::Outcome::kQuota) end(StopReason::kQuota, verdict.error);
  if (verdict.outcome == http::Outcome::kUnauthorized) end(StopReason::kUnauthorized, verdict.error);
  if (verdict.outcome == http::Outcome::kRetry && silent) end(StopReason::kUnavailable, verdict.error);
  return stop_ != StopReason::kNone;
}

// Calls until the server answers, one way or the other; nothing where the run ends instead.
template <typename T, typename Call>
Result<std::optional<llm::Called<T>>> BatchRunner::persist(Call call) {
  for (int attempt = 1;; ++attempt) {
    TRACER_ASSIGN_OR_RETURN(auto called, call());
    const http::Verdict& verdict = called.verdict;
    if (verdict.outcome == http::Outcome::kAnswered || verdict.outcome == http::Outcome::kRowFailed) {
      heard_ms_ = io::steady_ms();
      return std::optional(std::move(called));
    }
    if (ends(verdict) || !wait(pause_ms(verdict, attempt))) return std::optional<llm::Called<T>>();
  }
}

Status BatchRunner::release(const Batch& batch, const std::string& outcome) {
  TRACER_RETURN_IF_ERROR(store_.begin());
  TRACER_RETURN_IF_ERROR(end_batch(store_, batch.id, outcome));
  return store_.commit();
}

Status BatchRunner::adopt(Batch& batch, const std::string& remote_id) {
  batch.remote_id = remote_id;
  batch.state = BatchState::kSubmitted;
  TRACER_RETURN_IF_ERROR(update_batch(store_, batch));  // by itself: on the disk before it is polled
  note_("batch " + remote_id + ": " + std::to_string(batch.requests) + " requests submitted");
  return {};
}

// The server's batch that this one became, if its answer was lost. A server that lists none is one that has none.
Result<std::optional<llm::RemoteBatch>> BatchRunner::find(const Batch& batch) {
  std::optional<llm::RemoteBatch> found;
  auto listed = persist<std::vector<llm::RemoteBatch>>([&]() -> Result<llm::Called<std::vector<llm::RemoteBatch>>> {
    auto called = remote_.list(batch.started - kClockSkewSeconds);
    if (called.ok() && called->verdict.outcome == http::Outcome::kUnauthorized)
      called->verdict.outcome = http::Outcome::kRowFailed;  // no such address: see the header
    return called;
  });
  if (!listed.ok()) return listed.status();
  if (!*listed || (*listed)->verdict.outcome != http::Outcome::kAnswered) return found;
  TRACER_ASSIGN_OR_RETURN(auto known, remote_ids(store_));
  known.insert(known.end(), batch.not_ours.begin(), batch.not_ours.end());
  for (llm::RemoteBatch& b : (*listed)->value) {
    const bool taken = std::find(known.begin(), known.end(), b.id) != known.end();
    const bool same = chat_.options().api == llm::Api::kOpenAi ? b.tag == tag(batch) : b.requests == batch.requests;
    if (!taken && same) found = std::move(b);  // of several the oldest: they come newest first
  }
  return found;
}

// A batch that the server may or may not have.
Result<bool> BatchRunner::settle_unknown(Batch& batch) {
  const bool fresh = io::now_seconds() - batch.started < kClockSkewSeconds;
  for (int look = 0; look < (fresh ? 2 : 1); ++look) {
    if (look > 0 && !wait(std::min(kLateMs, poll_ms()))) return false;
    TRACER_ASSIGN_OR_RETURN(auto found, find(batch));
    if (stop_ != StopReason::kNone) return false;
    if (found) {
      TRACER_RETURN_IF_ERROR(adopt(batch, found->id));
      return true;
    }
  }
  return true;
}

Result<bool> BatchRunner::submit(Batch& batch, const std::string& requests) {
  auto uploaded = persist<std::string>([&] { return remote_.upload(requests, tag(batch) + ".jsonl"); });
  if (!uploaded.ok()) return uploaded.status();
  if (!*uploaded) {
    TRACER_RETURN_IF_ERROR(release(batch, "not uploaded"));
    return false;
  }
  std::string refusal = (*uploaded)->verdict.error;
  for (int attempt = 1; (*uploaded)->verdict.outcome == http::Outcome::kAnswered; ++attempt) {
    TRACER_ASSIGN_OR_RETURN(auto made, remote_.create(requests, (*uploaded)->value, tag(batch)));
    const http::Verdict& verdict = made.verdict;
    if (verdict.outcome == http::Outcome::kAnswered) {
      heard_ms_ = io::steady_ms();
      TRACER_RETURN_IF_ERROR(adopt(batch, made.value.id));
      return true;
    }
    refusal = verdict.error;
    const bool ended = ends(verdict);
    if (verdict.outcome != http::Outcome::kRetry) break;
    // Whether it was made is not known: it stays prepared, and the next run looks for it.
    if (ended || !wait(pause_ms(verdict, attempt))) return false;
    if (!made.sent) continue;
    auto settled = settle_unknown(batch);
    if (!settled.ok() || !*settled || batch.state == BatchState::kSubmitted) return settled;
  }
  TRACER_RETURN_IF_ERROR(release(batch, refusal));
  return end(StopReason::kRefused, refusal);
}

Result<bool> BatchRunner::submit_pending() {
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto spent, store_.ledger());
    if (spent.pending == spent.in_batches) return true;
    RequestLimits limits = options_.limits;
    if (options_.most_cost) limits.cost = *options_.most_cost - spent.most_cost;
    if (options_.most_requests)
      limits.lines = std::min(limits.lines, *options_.most_requests - spent.attempts - spent.in_batches);
    // What open batches have reserved may come back: budgets end the run when none is open.
    if (limits.lines <= 0) return spent.batches > 0 || end(StopReason::kRequests);
    TRACER_ASSIGN_OR_RETURN(auto dialect, batch_dialect(store_, {.structured = options_.structured}));
    const bool one_body = chat_.options().api == llm::Api::kAnthropic;
    const std::string requests = files_ + "-next.requests.jsonl";
    TRACER_ASSIGN_OR_RETURN(auto written,
                            write_requests(store_, chat_, prompt_, dialect, options_.price, requests,
                                           one_body ? RequestForm::kOneBody : RequestForm::kLines, limits, 0));
    if (written.asks.empty()) return spent.batches > 0 || end(StopReason::kCost);
    Batch batch;
    batch.started = io::now_seconds();
    batch.requests = static_cast<int64_t>(written.asks.size());
    batch.most_cost = written.most_cost;
    batch.dialect = dialect;
    TRACER_RETURN_IF_ERROR(store_.begin());
    TRACER_ASSIGN_OR_RETURN(auto id, add_batch(store_, batch, written.asks));
    TRACER_RETURN_IF_ERROR(store_.commit());
    batch.id = id;
    auto submitted = submit(batch, requests);
    (void)::unlink(requests.c_str());
    if (!submitted.ok() || !*submitted) return submitted;
    if (written.over_cost) return true;
  }
}

// A batch that settled nothing: a few in a row, and more of them would not either.
Result<bool> BatchRunner::ended_barren(const std::string& error) {
  if (++barren_ < kMostBarren || cancelling_) return true;
  return end(StopReason::kRefused, error.empty() ? "batches end without an answer" : error);
}

Result<bool> BatchRunner::take_in(Batch& batch, const llm::RemoteBatch& remote) {
  std::vector<std::string> paths;
  for (const std::string& result : remote.results) {
    paths.push_back(file(batch, "results-" + std::to_string(paths.size() + 1)));
    auto loaded = persist<std::string>([&] { return remote_.download(result, paths.back()); });
    if (!loaded.ok()) return loaded.status();
    if (!*loaded) return false;
    if ((*loaded)->verdict.outcome != http::Outcome::kAnswered)
      return end(StopReason::kRefused, (*loaded)->verdict.error);
    TRACER_ASSIGN_OR_RETURN(auto ours, is_of_job(store_, paths.back()));
    if (ours) continue;
    for (const std::string& path : paths) (void)::unlink(path.c_str());
    batch.not_ours.push_back(batch.remote_id);
    batch.remote_id.clear();
    batch.state = BatchState::kPrepared;
    TRACER_RETURN_IF_ERROR(update_batch(store_, batch));
    return true;
  }
  BatchIn all;
  TRACER_RETURN_IF_ERROR(store_.begin());
  for (const std::string& path : paths) {
    TRACER_ASSIGN_OR_RETURN(auto in,
                            take_results(store_, chat_, options_.price, path, io::now_seconds(), batch.dialect));
    all += in;
  }
  TRACER_RETURN_IF_ERROR(end_batch(store_, batch.id, remote.status));
  if (all.dialect) TRACER_RETURN_IF_ERROR(set_batch_dialect(store_, *all.dialect));
  TRACER_RETURN_IF_ERROR(store_.commit());
  for (const std::string& path : paths) (void)::unlink(path.c_str());
  note_("batch " + batch.remote_id + ": " + remote.status + ", " + std::to_string(all.answered) + " answered, " +
        std::to_string(all.failed) + " failed, " + std::to_string(batch.requests - all.answered - all.failed) +
        " to ask again");
  if (all.quota) return end(StopReason::kQuota, all.error);
  if (all.answered + all.failed + all.unparsed > 0 || all.dialect) {
    barren_ = 0;
    return true;
  }
  return ended_barren(all.error);
}

Result<bool> BatchRunner::poll(Batch& batch) {
  if (batch.state == BatchState::kPrepared) {
    auto settled = settle_unknown(batch);
    if (!settled.ok() || !*settled) return settled;
    if (batch.state != BatchState::kSubmitted) {
      TRACER_RETURN_IF_ERROR(release(batch, "the server does not have it"));
      return true;
    }
  }
  if (cancelling_) {
    auto asked = remote_.cancel(batch.remote_id);  // refused where it has ended, or is being cancelled already
    if (!asked.ok()) return asked.status();
  }
  auto got = persist<llm::RemoteBatch>([&] { return remote_.get(batch.remote_id); });
  if (!got.ok()) return got.status();
  if (!*got) return false;
  if ((*got)->verdict.outcome != http::Outcome::kAnswered) return end(StopReason::kRefused, (*got)->verdict.error);
  const llm::RemoteBatch& remote = (*got)->value;
  switch (remote.progress) {
    case llm::BatchProgress::kEnded:
      return take_in(batch, remote);
    case llm::BatchProgress::kFailed: {
      TRACER_RETURN_IF_ERROR(release(batch, remote.status + ": " + remote.error));
      note_("batch " + remote.id + ": " + remote.status + " (" + remote.error + ")");
      return ended_barren(remote.error);
    }
    case llm::BatchProgress::kWorking:
      break;
  }
  const std::string seen = "batch " + remote.id + ": " + remote.status + ", " + std::to_string(remote.done) + " of " +
                           std::to_string(batch.requests) + " done";
  if (seen != last_seen_) note_(last_seen_ = seen);
  return true;
}

Result<StopReason> BatchRunner::run() {
  began_ms_ = heard_ms_ = io::steady_ms();
  while (true) {
    auto open = open_batches(store_);
    if (!open.ok()) return open.status();
    for (Batch& batch : *open) {
      if (!wait(0)) return stop_;
      TRACER_ASSIGN_OR_RETURN(auto polled, poll(batch));
      if (!polled) return stop_;
    }
    open = open_batches(store_);
    if (!open.ok()) return open.status();
    // After a batch that failed, one at a time, a while later: the server may bear no more at once.
    if (!cancelling_ && (barren_ == 0 || open->empty())) {
      if (barren_ > 0 && !wait(poll_ms())) return stop_;
      TRACER_ASSIGN_OR_RETURN(auto submitted, submit_pending());
      if (!submitted) return stop_;
      open = open_batches(store_);
      if (!open.ok()) return open.status();
    }
    if (open->empty()) return StopReason::kNone;
    if (!wait(poll_ms())) return stop_;
  }
}

Result<StopReason> BatchRunner::cancel() {
  cancelling_ = true;
  return run();
}

}  // namespace tracer::job
