#include "host/job/journal.h"

#include <algorithm>
#include <chrono>

#include "host/io/clock.h"

namespace tracer::job {
namespace {

// Someone may follow the output with tail -f.
constexpr int64_t kFlushMs = 1000;

// Rows are stored in portions, so that answers, whose requests keep their places, wait for no whole batch of them.
constexpr int kRowsAtOnce = 1024;
constexpr int kAsksAtOnce = 32;

}  // namespace

Journal::Journal(Store store, OutputFile output, LineFormat format, const JournalOptions& options)
    : store_(std::move(store)),
      output_(std::move(output)),
      format_(std::move(format)),
      options_(options),
      next_row_(output_.rows()),
      first_row_(output_.rows()),
      routed_before_(store_.routed()),
      next_attempt_(store_.next_attempt()) {}

Journal::~Journal() {
  if (thread_.joinable()) {
    stop();
    (void)join();
  }
}

void Journal::start(Deliver deliver, Kept kept) {
  deliver_ = std::move(deliver);
  kept_ = std::move(kept);
  flushed_ms_ = io::steady_ms();
  thread_ = std::thread([this] { loop(); });
}

void Journal::post(Message message) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = inbox_.empty();
    inbox_.push_back(std::move(message));
  }
  if (first) to_journal_.notify_one();  // else it has been told
}

Result<bool> Journal::add(std::vector<RoutedRow>& rows) {
  const auto n = static_cast<int64_t>(rows.size());
  std::unique_lock<std::mutex> lock(mutex_);
  // A batch larger than the window still goes through an empty one.
  const bool room = from_journal_.wait_for(lock, std::chrono::milliseconds(100), [&] {
    return done_ || in_window_ == 0 || in_window_ + n <= options_.window_rows;
  });
  if (!failure_.ok()) return failure_;
  if (!room || done_) return false;
  in_window_ += n;
  inbox_.push_back(Routed{std::move(rows)});
  rows.clear();
  to_journal_.notify_one();
  return true;
}

Status Journal::routing_done() {
  post(RoutingDone{});
  return failure();
}

void Journal::want(int64_t n) { post(Want{n}); }

int64_t Journal::new_attempt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return next_attempt_++;
}

void Journal::attempt_started(int64_t attempt, int64_t ask, AttemptKind kind, int64_t most_cost) {
  post(Started{attempt, ask, kind, most_cost, io::now_seconds()});
}

void Journal::attempt_ended(AttemptEnd end) { post(std::move(end)); }
void Journal::dispatch_ended(std::string why) { post(DispatchEnded{std::move(why)}); }

bool Journal::wait(int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  return from_journal_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return done_; });
}

void Journal::stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopping_ = true;
  to_journal_.notify_one();
}

Status Journal::join() {
  if (thread_.joinable()) thread_.join();
  return failure();
}

JournalCounts Journal::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

Status Journal::failure() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

void Journal::loop() {
  std::vector<Message> messages;
  Status status;
  bool stopping = false;
  while (status.ok()) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const int64_t due = !unstored_.empty() ? 0 : transaction_ ? commit_at_ms_ - io::steady_ms() : kFlushMs;
      to_journal_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(0, due)),
                           [&] { return !inbox_.empty() || stopping_; });
      messages.swap(inbox_);
      stopping = stopping_;
    }
    status = take(messages);
    messages.clear();
    if (!status.ok()) break;
    if (stopping || (complete() && dispatch_ended_)) {
      status = finish();
      break;
    }
  }
  if (!status.ok() && deliver_) deliver_({}, true);  // nothing that is sent now could be kept
  const std::lock_guard<std::mutex> lock(mutex_);
  failure_ = status;
  done_ = true;
  from_journal_.notify_all();
}

Status Journal::take(std::vector<Message>& messages) {
  for (Message& message : messages) TRACER_RETURN_IF_ERROR(std::visit([&](auto& m) { return handle(m); }, message));
  TRACER_RETURN_IF_ERROR(store_some_rows());
  if (transaction_ && io::steady_ms() >= commit_at_ms_) TRACER_RETURN_IF_ERROR(commit());
  TRACER_RETURN_IF_ERROR(write_ready());
  if (!transaction_) TRACER_RETURN_IF_ERROR(deliver());
  return {};
}

Status Journal::in_transaction(int64_t within_ms) {
  const int64_t at = io::steady_ms() + within_ms;
  if (transaction_) {
    commit_at_ms_ = std::min(commit_at_ms_, at);
    return {};
  }
  TRACER_RETURN_IF_ERROR(store_.begin());
  transaction_ = true;
  commit_at_ms_ = at;
  return {};
}

// Only now are answers facts, which the output may show.
Status Journal::commit() {
  if (!transaction_) return {};
  TRACER_RETURN_IF_ERROR(store_.commit());
  transaction_ = false;
  for (auto& [ask, result] : settled_)
    if (const auto at = known_.find(ask); at != known_.end()) at->second.result = std::move(result);
  settled_.clear();
  if (ended_ > 0) kept_(ended_);
  ended_ = 0;
  return {};
}

Status Journal::handle(Routed& m) {
  unstored_.insert(unstored_.end(), std::make_move_iterator(m.rows.begin()), std::make_move_iterator(m.rows.end()));
  return {};
}

Status Journal::handle(RoutingDone&) {
  all_routed_ = true;
  return {};
}

Status Journal::store_row(RoutedRow row) {
  int64_t ask = 0;
  bool first = false;
  if (row.deferred) {
    row.deferred->row = next_row_;
    TRACER_ASSIGN_OR_RETURN(auto added, store_.add_row(*row.deferred));
    row.deferred->input = std::string();  // is in the store
    if (next_row_ < routed_before_) ++seen_again_;
    ask = added.ask;
    first = added.first_row == next_row_;
    auto [at, made] = known_.try_emplace(ask);
    if (made) {
      // What the open transaction settled becomes known with it.
      at->second.result = settled_.count(ask) != 0 ? AskResult{} : std::move(added.known);
      if (at->second.result.state == AskState::kPending) asks_left_ = true;
    }
    ++at->second.rows;
  }
  window_.push_back({std::move(row.line), std::move(row.deferred), ask, first});
  ++next_row_;
  return {};
}

Status Journal::store_some_rows() {
  if (unstored_.empty()) return all_routed_ && !routing_done_ ? end_routing() : Status();
  TRACER_RETURN_IF_ERROR(in_transaction(options_.commit_ms));
  int64_t rows = 0, asks = 0;
  for (; !unstored_.empty() && rows < kRowsAtOnce && asks < kAsksAtOnce; ++rows) {
    if (unstored_.front().deferred) ++asks;
    TRACER_RETURN_IF_ERROR(store_row(std::move(unstored_.front())));
    unstored_.pop_front();
  }
  TRACER_RETURN_IF_ERROR(store_.set_routed(next_row_, false));
  if (next_row_ >= routed_before_) TRACER_RETURN_IF_ERROR(check_routed_again());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_.routed += rows;
  }
  return all_routed_ && unstored_.empty() ? end_routing() : Status();
}

// Rows that an earlier run sent to the LLM must all have come again.
Status Journal::check_routed_again() {
  if (routed_before_ <= first_row_) return {};
  TRACER_ASSIGN_OR_RETURN(auto stored, store_.count_rows(first_row_, routed_before_));
  routed_before_ = 0;
  if (stored == seen_again_) return {};
  return bad_input("the input is not the one that this job began with: " + std::to_string(stored) +
                   " of its rows went to the LLM, now " + std::to_string(seen_again_) + " of the same rows would");
}

Status Journal::end_routing() {
  routing_done_ = true;
  if (next_row_ < routed_before_)
    return bad_input("the input is not the one that this job began with: it has " + std::to_string(next_row_) +
                     " rows, and had at least " + std::to_string(routed_before_));
  TRACER_RETURN_IF_ERROR(in_transaction(options_.commit_ms));
  return store_.set_routed(next_row_, true);
}

Status Journal::handle(Want& m) {
  wanted_ += m.n;
  return {};
}

Status Journal::handle(Started& m) {
  TRACER_RETURN_IF_ERROR(in_transaction(options_.commit_ms));
  return store_.start_attempt(m.attempt, m.ask, m.kind, m.most_cost, m.now);
}

Status Journal::handle(AttemptEnd& m) {
  TRACER_RETURN_IF_ERROR(in_transaction(options_.answer_ms));
  TRACER_ASSIGN_OR_RETURN(auto result, store_.end_attempt(m));
  ++ended_;
  if (m.result) settled_[m.ask] = std::move(result);
  return {};
}

Status Journal::handle(DispatchEnded& m) {
  dispatch_ended_ = true;
  why_ = std::move(m.why);
  return {};
}

// Asks are given out once committed: what a crash forgets was never sent.
Status Journal::deliver() {
  if (wanted_ == 0 || end_told_) return {};
  std::vector<PendingAsk> asks;
  if (asks_left_) {
    TRACER_ASSIGN_OR_RETURN(asks, store_.pending(delivered_, wanted_));
    asks_left_ = static_cast<int64_t>(asks.size()) == wanted_;
    if (!asks.empty()) delivered_ = asks.back().id;
  }
  const bool end = routing_done_ && !asks_left_;
  if (asks.empty() && !end) return {};
  wanted_ = 0;
  end_told_ = end;
  deliver_(std::move(asks), end);
  return {};
}

Status Journal::keep(const std::optional<Checkpoint>& checkpoint) {
  if (!checkpoint) return {};
  TRACER_RETURN_IF_ERROR(in_transaction(options_.commit_ms));
  return store_.add_checkpoint(*checkpoint);
}

Status Journal::write_ready() {
  int64_t written = 0;
  while (!window_.empty()) {
    Waiting& front = window_.front();
    if (front.deferred) {
      const auto at = known_.find(front.ask);
      const AskResult& result = at->second.result;
      const bool open = result.state == AskState::kPending;
      // Not while a transaction may hold its answer.
      if (open && (!dispatch_ended_ || why_.empty() || transaction_)) break;
      front.line = format_.asked(*front.deferred, result, front.first, why_);
      if (--at->second.rows == 0) known_.erase(at);
    }
    TRACER_ASSIGN_OR_RETURN(auto checkpoint, output_.append(front.line));
    TRACER_RETURN_IF_ERROR(keep(checkpoint));
    window_.pop_front();
    ++written;
  }
  if (io::steady_ms() >= flushed_ms_ + kFlushMs) {
    flushed_ms_ = io::steady_ms();
    TRACER_ASSIGN_OR_RETURN(auto checkpoint, output_.flush());
    TRACER_RETURN_IF_ERROR(keep(checkpoint));
  }
  if (written == 0) return {};
  const std::lock_guard<std::mutex> lock(mutex_);
  in_window_ -= written;
  counts_.written += written;
  from_journal_.notify_all();
  return {};
}

Status Journal::finish() {
  TRACER_RETURN_IF_ERROR(commit());
  TRACER_RETURN_IF_ERROR(write_ready());
  TRACER_ASSIGN_OR_RETURN(auto checkpoint, output_.flush());
  TRACER_RETURN_IF_ERROR(keep(checkpoint));
  TRACER_RETURN_IF_ERROR(output_.sync());
  TRACER_RETURN_IF_ERROR(in_transaction(options_.commit_ms));
  TRACER_ASSIGN_OR_RETURN(auto open, store_.first_open_row());
  TRACER_RETURN_IF_ERROR(store_.set_finished(complete() && open < 0));
  return commit();
}

}  // namespace tracer::job
