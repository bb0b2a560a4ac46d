// The thread that keeps a job: what is stored before it is said, and the output in the order of the input.
#include "host/job/journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <sstream>

#include "tests/host/io_test_util.h"
#include "tests/host/job_example.h"

namespace tracer::job {
namespace {

using io::contains;
using io::slurp;

const std::vector<std::string> kLabels = {"a", "b"};

RoutedRow ready(const std::string& id) { return {"{\"id\":\"" + id + "\"}", std::nullopt}; }
RoutedRow deferred(const std::string& text) {
  RoutedRow row;
  row.deferred.emplace();
  row.deferred->id = "\"" + text + "\"";
  row.deferred->input = text;
  row.deferred->reason = "below_threshold";
  row.deferred->label = 0;
  row.deferred->score = 0.25;
  return row;
}

// What the dispatcher is told, waited for.
class Inbox {
 public:
  void put(std::vector<PendingAsk> asks, bool end) {
    const std::lock_guard<std::mutex> lock(mutex_);
    asks_.insert(asks_.end(), asks.begin(), asks.end());
    end_ = end_ || end;
    changed_.notify_all();
  }
  // All of them so far, once there are n.
  std::vector<PendingAsk> wait_for(size_t n) {
    std::unique_lock<std::mutex> lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return asks_.size() >= n; }));
    asks_.resize(std::max(asks_.size(), n));  // the test goes on, and fails
    return asks_;
  }
  void wait_for_end() {
    std::unique_lock<std::mutex> lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return end_; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PendingAsk> asks_;
  bool end_ = false;
};

class JobJournal : public testing::Test {
 protected:
  // Makes the job, or takes it up again.
  void open(const JournalOptions& options = {}) {
    const bool there = std::filesystem::exists(job_);
    auto store = there ? Store::open(job_) : Store::create(job_, job_config(kLabels));
    ASSERT_TRUE(store.ok()) << store.status().message();
    ASSERT_TRUE(store->recover(false).ok());
    auto out = OutputFile::resume(output_, store->checkpoints().value(), store->first_open_row().value());
    ASSERT_TRUE(out.ok()) << out.status().message();
    first_ = out->rows();
    inbox_ = std::make_unique<Inbox>();
    journal_.emplace(std::move(store).value(), std::move(out).value(), LineFormat(kLabels, false), options);
    journal_->start(
        [inbox = inbox_.get()](std::vector<PendingAsk> asks, bool end) { inbox->put(std::move(asks), end); },
        [this](int64_t attempts) {
          kept_ += attempts;
          if (on_kept_) on_kept_();
        });
  }
  void close() {
    ASSERT_TRUE(journal_->join().ok());
    ASSERT_TRUE(journal_->store().close().ok());
    journal_.reset();
  }
  void add(std::vector<RoutedRow> rows) {
    for (int i = 0; i < 100 && !rows.empty(); ++i) {
      const auto taken = journal_->add(rows);
      ASSERT_TRUE(taken.ok()) << taken.status().message();
      if (*taken) return;
    }
    FAIL() << "the window stayed full";
  }
  void answer(const PendingAsk& ask, int32_t label) {
    AttemptEnd end;
    end.attempt = journal_->new_attempt();
    end.ask = ask.id;
    end.http_status = 200;
    end.outcome = "answered";
    end.usage = {10, 2};
    end.result = AskResult{AskState::kAnswered, label, "", {}, 0};
    journal_->attempt_started(end.attempt, end.ask, AttemptKind::kFirst, 0);
    journal_->attempt_ended(std::move(end));
  }
  void wait_until_written(int64_t rows) {
    for (int i = 0; i < 2000 && journal_->counts().written < rows; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_EQ(journal_->counts().written, rows);
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::istringstream text(slurp(output_));
    for (std::string line; std::getline(text, line);) out.push_back(line);
    return out;
  }

  const io::TempFolder folder_;
  const std::string output_ = folder_.path("out.jsonl"), job_ = output_ + ".job";
  int64_t first_ = 0;  // rows that the output has already: routing begins after them
  std::unique_ptr<Inbox> inbox_;
  std::atomic<int64_t> kept_{0};
  std::function<void()> on_kept_;
  std::optional<Journal> journal_;
};

TEST_F(JobJournal, LinesComeInTheOrderOfTheInput) {
  open();
  add({ready("r0"), deferred("x"), ready("r2"), deferred("y")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->want(10);
  const auto asks = inbox_->wait_for(2);
  inbox_->wait_for_end();
  EXPECT_EQ(asks[0].input, "x");
  EXPECT_EQ(asks[1].input, "y");
  answer(asks[1], 1);
  wait_until_written(1);  // the answer to y waits for x
  answer(asks[0], 0);
  wait_until_written(4);
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  const auto got = lines();
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[0], "{\"id\":\"r0\"}");
  EXPECT_TRUE(contains(got[1], R"("id":"x","label":"a","source":"llm")"));
  EXPECT_EQ(got[2], "{\"id\":\"r2\"}");
  EXPECT_TRUE(contains(got[3], R"("id":"y","label":"b","source":"llm")"));
  auto store = Store::open_to_read(job_);
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(store->finished());
  EXPECT_EQ(store->routed(), 4);
}

TEST_F(JobJournal, WhatIsSaidToBeKeptIsOnTheDisk) {
  open();
  int64_t checked = 0;
  on_kept_ = [&] {  // as another process sees the job
    auto store = Store::open_to_read(job_);
    ASSERT_TRUE(store.ok()) << store.status().message();
    EXPECT_EQ(store->ledger()->answered, kept_.load());
    ++checked;
  };
  add({deferred("x"), deferred("y"), deferred("z")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->want(10);
  for (const PendingAsk& ask : inbox_->wait_for(3)) {
    answer(ask, 0);
    for (int i = 0; i < 2000 && kept_.load() < ask.id; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  EXPECT_EQ(kept_.load(), 3);
  EXPECT_GE(checked, 3);
}

TEST_F(JobJournal, EqualTextsAreOneAsk) {
  open();
  add({deferred("x"), deferred("y"), deferred("x")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->want(10);
  inbox_->wait_for_end();
  const auto asks = inbox_->wait_for(2);
  ASSERT_EQ(asks.size(), 2u);
  for (const PendingAsk& ask : asks) answer(ask, 1);
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  const auto got = lines();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_TRUE(contains(got[0], R"("source":"llm")"));
  EXPECT_TRUE(contains(got[2], R"("source":"cache")"));
}

TEST_F(JobJournal, AsksAreGivenOutAsTheyAreWanted) {
  open();
  add({deferred("x"), deferred("y"), deferred("z")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->want(2);
  EXPECT_EQ(inbox_->wait_for(2).size(), 2u);
  journal_->want(2);
  const auto asks = inbox_->wait_for(3);
  inbox_->wait_for_end();
  ASSERT_EQ(asks.size(), 3u);
  EXPECT_EQ(asks[2].input, "z");
  for (const PendingAsk& ask : asks) answer(ask, 0);
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
}

TEST_F(JobJournal, TheWindowHoldsNoMoreRows) {
  JournalOptions options;
  options.window_rows = 4;
  open(options);
  add({deferred("x"), ready("r1"), ready("r2"), ready("r3")});
  std::vector<RoutedRow> one = {ready("r4")};
  const auto full = journal_->add(one);
  ASSERT_TRUE(full.ok());
  EXPECT_FALSE(*full);
  EXPECT_EQ(one.size(), 1u);  // still the caller's
  journal_->want(1);
  answer(inbox_->wait_for(1)[0], 0);
  add(std::move(one));
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  EXPECT_EQ(lines().size(), 5u);
}

TEST_F(JobJournal, ABatchLargerThanTheWindowPassesThroughAnEmptyOne) {
  JournalOptions options;
  options.window_rows = 2;
  open(options);
  add({ready("r0"), ready("r1"), ready("r2"), ready("r3"), ready("r4")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  EXPECT_EQ(lines().size(), 5u);
}

TEST_F(JobJournal, WithoutAnAnswerTheLineSaysWhyAndALaterRunMakesItAgain) {
  open();
  add({ready("r0"), deferred("x"), ready("r2")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->dispatch_ended("quota: the account is spent");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  auto got = lines();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_TRUE(contains(got[1], R"("error":"quota: the account is spent")"));
  EXPECT_EQ(got[2], "{\"id\":\"r2\"}");
  EXPECT_FALSE(Store::open_to_read(job_)->finished());

  open();
  ASSERT_LE(first_, 1);  // the line that says why goes
  std::vector<RoutedRow> rows = {ready("r0"), deferred("x"), ready("r2")};
  rows.erase(rows.begin(), rows.begin() + first_);
  add(std::move(rows));
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->want(10);
  answer(inbox_->wait_for(1)[0], 1);
  journal_->dispatch_ended("");
  EXPECT_TRUE(journal_->wait(20'000));
  close();
  got = lines();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "{\"id\":\"r0\"}");
  EXPECT_TRUE(contains(got[1], R"("label":"b","source":"llm")"));
  EXPECT_TRUE(Store::open_to_read(job_)->finished());
}

TEST_F(JobJournal, StoppingKeepsWhatWasSaid) {
  open();
  add({ready("r0"), deferred("x"), deferred("y")});
  journal_->want(2);
  const auto asks = inbox_->wait_for(2);
  answer(asks[1], 1);
  journal_->dispatch_ended("");
  journal_->stop();
  close();
  EXPECT_EQ(lines(), std::vector<std::string>{"{\"id\":\"r0\"}"});
  auto store = Store::open_to_read(job_);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->ledger()->answered, 1);
  EXPECT_EQ(store->ledger()->pending, 1);
  EXPECT_EQ(store->routed(), 3);
  EXPECT_FALSE(store->finished());
}

TEST_F(JobJournal, AnotherInputIsRefused) {
  open();
  add({deferred("x"), ready("r1"), deferred("y")});
  ASSERT_TRUE(journal_->routing_done().ok());
  journal_->stop();
  close();
  const auto refused = [&](std::vector<RoutedRow> rows, const std::string& part) {
    open();
    (void)journal_->add(rows);
    (void)journal_->routing_done();
    inbox_->wait_for_end();  // the dispatcher is told that nothing could be kept
    const Status failed = journal_->join();
    EXPECT_EQ(failed.code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(failed.message(), part));
    std::vector<RoutedRow> more = {ready("r")};
    EXPECT_FALSE(journal_->add(more).ok());
    ASSERT_TRUE(journal_->store().close().ok());
    journal_.reset();
  };
  refused({deferred("other"), ready("r1"), deferred("y")}, "have changed since");
  refused({deferred("x"), deferred("r1"), deferred("y")}, "have changed since");
  refused({deferred("x"), ready("r1"), ready("y")}, "1 of the same rows would");
  refused({deferred("x")}, "it has 1 rows, and had at least 3");
}

}  // namespace
}  // namespace tracer::job
