// The durable state of a job and its output.
#include "host/job/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "host/io/text_hash.h"
#include "host/job/lines.h"
#include "host/job/output_file.h"
#include "tests/host/io_test_util.h"
#include "tests/host/job_example.h"

namespace tracer::job {
namespace {

using io::contains;
using io::slurp;
using io::TempFolder;

const JobConfig kConfig = job_config({"a", "b", "c"});

DeferredRow row(int64_t at, const std::string& input, const std::string& reason = "deferred") {
  return {at, "\"r" + std::to_string(at) + "\"", input, reason, reason == "audit", 1, 0.25};
}

AttemptEnd end_of(int64_t attempt, int64_t ask, std::optional<AskResult> result, int64_t cost = 0) {
  AttemptEnd e;
  e.attempt = attempt;
  e.ask = ask;
  e.http_status = 200;
  e.outcome = "answered";
  e.usage = {10, 2};
  e.cost = cost;
  e.result = std::move(result);
  return e;
}

AskResult answered(int32_t label) { return {AskState::kAnswered, label, "", {}, 0}; }
AskResult failed(const std::string& error) { return {AskState::kFailed, -1, error, {}, 0}; }

#define ASSERT_OK(expression)             \
  do {                                    \
    const Status s_ = (expression);       \
    ASSERT_TRUE(s_.ok()) << s_.message(); \
  } while (false)

class JobStore : public testing::Test {
 protected:
  const TempFolder folder_;
  const std::string path_ = folder_.path("out.jsonl.job");

  Store created() const {
    auto store = Store::create(path_, kConfig);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(store).value();
  }
  Store reopened() const {
    auto store = Store::open(path_);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(store).value();
  }
  static Store::Added add(Store& store, const DeferredRow& row) {
    const auto added = store.add_row(row);
    EXPECT_TRUE(added.ok()) << added.status().message();
    return added.ok() ? added.value() : Store::Added{};
  }
  static AskResult end(Store& store, const AttemptEnd& e) {
    const auto result = store.end_attempt(e);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? result.value() : AskResult{};
  }
  static Ledger ledger(Store& store) {
    const auto l = store.ledger();
    EXPECT_TRUE(l.ok()) << l.status().message();
    return l.ok() ? l.value() : Ledger{};
  }
  static std::vector<Store::Entry> entries(Store& store, int64_t from = 0) {
    std::vector<Store::Entry> all;
    auto reader = store.entries(from);
    EXPECT_TRUE(reader.ok());
    for (Store::Entry e;;) {
      const auto more = reader->next(e);
      EXPECT_TRUE(more.ok()) << more.status().message();
      if (!more.ok() || !more.value()) return all;
      all.push_back(e);
    }
  }
  // A job with a bit of everything, closed.
  void fill() const {
    Store s = created();
    ASSERT_OK(s.begin());
    for (int64_t i = 0; i < 200; ++i)
      add(s, row(i, "text " + std::to_string(i % 150), i % 9 == 0 ? "audit" : "deferred"));
    ASSERT_OK(s.set_routed(200, true));
    for (int64_t i = 1; i <= 100; ++i) {
      ASSERT_OK(s.start_attempt(i, i, AttemptKind::kFirst, 50, 1.5));
      if (i % 10 != 0)
        end(s, end_of(i, i, i % 7 == 0 ? failed("http 500") : answered(static_cast<int32_t>(i % 3)), 40));
    }
    ASSERT_OK(s.add_checkpoint({10, 1000, 0xfedcba9876543210}));
    ASSERT_OK(s.commit());
    ASSERT_OK(s.close());
  }
};

TEST_F(JobStore, CreateThenOpen) {
  {
    Store s = created();
    EXPECT_EQ(config_text(s.config()), config_text(kConfig));
    EXPECT_EQ(s.next_attempt(), 1);
    EXPECT_EQ(s.routed(), 0);
    EXPECT_FALSE(s.finished());
    ASSERT_OK(s.set_routed(5, false));
    ASSERT_OK(s.set_routed(3, false));  // never back
    ASSERT_OK(s.start_attempt(41, 1, AttemptKind::kFirst, 0, 0));
    ASSERT_OK(s.set_finished(true));
    ASSERT_OK(s.close());
  }
  Store s = reopened();
  EXPECT_EQ(config_text(s.config()), config_text(kConfig));
  EXPECT_EQ(s.routed(), 5);
  EXPECT_EQ(s.next_attempt(), 42);
  EXPECT_TRUE(s.finished());
}

TEST_F(JobStore, ThereIsOneAlready) {
  { Store s = created(); }
  const auto again = Store::create(path_, kConfig);
  EXPECT_EQ(again.status().code(), ErrorCode::kBadInput);
  EXPECT_TRUE(contains(again.status().message(), path_));
  EXPECT_TRUE(Store::open(path_).ok());
}

TEST_F(JobStore, Absent) {
  EXPECT_EQ(Store::open(path_).status().code(), ErrorCode::kIo);
  EXPECT_EQ(Store::open_to_read(path_).status().code(), ErrorCode::kIo);
  EXPECT_FALSE(std::filesystem::exists(path_)) << "opening makes nothing";
}

TEST_F(JobStore, OneWriterAtATime) {
  Store s = created();
  // Another process: closing a descriptor of the file in this one would drop SQLite's locks.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto second = Store::open(path_);
    const bool refused = second.status().code() == ErrorCode::kIo &&
                         second.status().message().find("another process") != std::string::npos;
    ::_exit(refused && Store::open_to_read(path_).ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Store::open(path_).status().code(), ErrorCode::kIo) << "another descriptor";
  ASSERT_OK(s.begin());
  add(s, row(0, "x"));
  ASSERT_OK(s.commit());
  ASSERT_OK(s.close());
  EXPECT_TRUE(Store::open(path_).ok());
}

TEST_F(JobStore, TheLockGoesWithTheProcess) {
  { Store s = created(); }
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto s = Store::open(path_);
    if (!s.ok() || !s->begin().ok() || !s->add_row(row(0, "lost")).ok()) ::_exit(1);
    ::_exit(0);  // in the middle of a transaction, nothing closed
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Store s = reopened();
  EXPECT_EQ(ledger(s).asks, 0) << "what was not committed is not there";
}

TEST_F(JobStore, ReadersSeeWhatIsCommitted) {
  Store s = created();
  ASSERT_OK(s.begin());
  add(s, row(0, "x"));
  {
    auto reader = Store::open_to_read(path_);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_EQ(ledger(reader.value()).asks, 0);
    ASSERT_OK(s.commit());
    EXPECT_EQ(ledger(reader.value()).asks, 1);
    EXPECT_FALSE(reader->set_finished(true).ok()) << "a reader writes nothing";
  }
}

TEST_F(JobStore, RowsOfTheSameTextShareAnAsk) {
  Store s = created();
  const auto a = add(s, row(0, "x")), b = add(s, row(3, "y")), c = add(s, row(9, "x", "audit"));
  EXPECT_NE(a.ask, b.ask);
  EXPECT_EQ(a.ask, c.ask);
  EXPECT_EQ(a.first_row, 0);
  EXPECT_EQ(b.first_row, 3);
  EXPECT_EQ(c.first_row, 0);
  EXPECT_EQ(c.known.state, AskState::kPending);
  EXPECT_NE(add(s, row(10, "x ")).ask, a.ask);
  EXPECT_NE(add(s, row(11, std::string("x\0", 2))).ask, a.ask);
  ASSERT_OK(s.start_attempt(1, a.ask, AttemptKind::kFirst, 50, 0));
  end(s, end_of(1, a.ask, answered(2), 40));
  const auto d = add(s, row(12, "x"));
  EXPECT_EQ(d.known.state, AskState::kAnswered);
  EXPECT_EQ(d.known.label, 2);
  EXPECT_EQ(d.known.cost, 40);
  EXPECT_EQ(ledger(s).rows_deferred, 5);
  EXPECT_EQ(ledger(s).rows_audited, 1);
  EXPECT_EQ(ledger(s).asks, 4);
}

TEST_F(JobStore, ARowThatHasChangedIsNoticed) {
  {
    Store s = created();
    add(s, row(0, "x"));
    add(s, row(2, "y"));
    ASSERT_OK(s.set_routed(4, false));
    ASSERT_OK(s.close());
  }
  Store s = reopened();
  EXPECT_EQ(add(s, row(0, "x")).first_row, 0);
  EXPECT_EQ(add(s, row(2, "y")).first_row, 2);
  DeferredRow handled = row(0, "x");
  handled.handled = true;
  const DeferredRow changed[] = {row(0, "z"),          row(0, "y"),          row(1, "x"), row(3, "new"),
                                 row(0, "x", "audit"), row(2, "y", "other"), handled};
  for (const DeferredRow& r : changed) {
    const auto added = s.add_row(r);
    ASSERT_FALSE(added.ok()) << r.row << r.input;
    EXPECT_EQ(added.status().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(contains(added.status().message(), "row " + std::to_string(r.row + 1) + " "));
  }
  EXPECT_EQ(ledger(s).rows_deferred, 2);
  EXPECT_EQ(ledger(s).asks, 2);
  EXPECT_EQ(add(s, row(4, "x")).first_row, 0) << "further rows are new ones";
}

TEST_F(JobStore, AttemptsAddUp) {
  Store s = created();
  const int64_t ask = add(s, row(0, "x")).ask;
  ASSERT_OK(s.start_attempt(1, ask, AttemptKind::kFirst, 100, 1));
  EXPECT_EQ(ledger(s).in_flight, 1);
  EXPECT_EQ(ledger(s).cost, 0);
  EXPECT_EQ(ledger(s).most_cost, 100) << "what is in flight may cost that";
  AttemptEnd none = end_of(1, ask, std::nullopt);
  none.usage = {};
  none.http_status = 429;
  none.outcome = "http 429";
  EXPECT_EQ(end(s, none).state, AskState::kPending);
  EXPECT_EQ(ledger(s).most_cost, 0);
  ASSERT_OK(s.start_attempt(2, ask, AttemptKind::kRetry, 100, 2));
  AttemptEnd bad = end_of(2, ask, std::nullopt, 70);
  bad.bad_answer = "perhaps\n\"a\"";
  EXPECT_EQ(end(s, bad).cost, 70);
  auto pending = s.pending(0, 10);
  ASSERT_TRUE(pending.ok());
  ASSERT_EQ(pending->size(), 1u);
  EXPECT_EQ((*pending).front().bad_answer, "perhaps\n\"a\"");
  ASSERT_OK(s.start_attempt(3, ask, AttemptKind::kCorrection, 100, 3));
  const AskResult result = end(s, end_of(3, ask, answered(1), 80));
  EXPECT_EQ(result.state, AskState::kAnswered);
  EXPECT_EQ(result.label, 1);
  EXPECT_EQ(result.cost, 150);
  EXPECT_EQ(result.usage.prompt_tokens, 20);
  EXPECT_EQ(result.usage.completion_tokens, 4);
  const Ledger l = ledger(s);
  EXPECT_EQ(l.attempts, 3);
  EXPECT_EQ(l.retries, 1);
  EXPECT_EQ(l.corrections, 1);
  EXPECT_EQ(l.lost, 0);
  EXPECT_EQ(l.in_flight, 0);
  EXPECT_EQ(l.unknown, 0);
  EXPECT_EQ(l.cost, 150);
  EXPECT_EQ(l.most_cost, 150);
  EXPECT_EQ(l.answered, 1);
  EXPECT_EQ(l.pending, 0);
  EXPECT_EQ(l.usage.prompt_tokens, 20);
  EXPECT_FALSE(s.start_attempt(3, ask, AttemptKind::kRetry, 1, 4).ok()) << "a number is used once";
}

TEST_F(JobStore, AnUnknownCostIsAtMostWhatWasReserved) {
  Store s = created();
  const int64_t ask = add(s, row(0, "x")).ask;
  ASSERT_OK(s.start_attempt(1, ask, AttemptKind::kFirst, 100, 1));
  AttemptEnd cut = end_of(1, ask, std::nullopt);
  cut.usage = {};
  cut.unknown = true;
  end(s, cut);
  ASSERT_OK(s.start_attempt(2, ask, AttemptKind::kRetry, 100, 1));
  end(s, end_of(2, ask, answered(0), 60));
  EXPECT_EQ(ledger(s).unknown, 1);
  EXPECT_EQ(ledger(s).cost, 60);
  EXPECT_EQ(ledger(s).most_cost, 160);
}

TEST_F(JobStore, WhatWasInFlightIsLost) {
  int64_t a = 0, b = 0;
  {
    Store s = created();
    a = add(s, row(0, "x")).ask;
    b = add(s, row(1, "y")).ask;
    ASSERT_OK(s.start_attempt(1, a, AttemptKind::kFirst, 100, 1));
    ASSERT_OK(s.start_attempt(2, b, AttemptKind::kFirst, 30, 1));
    end(s, end_of(2, b, answered(0), 20));
  }
  Store s = reopened();
  ASSERT_OK(s.recover(false));
  Ledger l = ledger(s);
  EXPECT_EQ(l.lost, 1);
  EXPECT_EQ(l.in_flight, 0);
  EXPECT_EQ(l.unknown, 1);
  EXPECT_EQ(l.cost, 20);
  EXPECT_EQ(l.most_cost, 120);
  EXPECT_EQ(l.pending, 1);
  EXPECT_EQ(s.next_attempt(), 3);
  ASSERT_OK(s.recover(false));
  EXPECT_EQ(ledger(s).lost, 1);
  const auto pending = s.pending(0, 10);
  ASSERT_TRUE(pending.ok());
  ASSERT_EQ(pending.value().size(), 1u);
  EXPECT_EQ(pending.value()[0].id, a);
  EXPECT_EQ(pending.value()[0].input, "x");
}

TEST_F(JobStore, FailedAsksAreTriedAgainWhereAskedFor) {
  Store s = created();
  for (int64_t i = 0; i < 3; ++i) add(s, row(i, "t" + std::to_string(i)));
  for (int64_t i = 1; i <= 3; ++i) ASSERT_OK(s.start_attempt(i, i, AttemptKind::kFirst, 9, 1));
  AttemptEnd bad = end_of(1, 1, failed("the answer is no label"), 5);
  bad.bad_answer = "none";
  EXPECT_EQ(end(s, bad).error, "the answer is no label");
  end(s, end_of(2, 2, answered(2), 5));
  end(s, end_of(3, 3, failed("http 400"), 5));
  EXPECT_EQ(ledger(s).failed, 2);
  EXPECT_EQ(s.first_open_row().value(), -1);
  ASSERT_OK(s.recover(false));
  EXPECT_EQ(ledger(s).failed, 2);
  EXPECT_TRUE(s.pending(0, 10).value().empty());
  ASSERT_OK(s.recover(true));
  EXPECT_EQ(ledger(s).failed, 0);
  EXPECT_EQ(ledger(s).answered, 1);
  EXPECT_EQ(ledger(s).cost, 15) << "what was paid stays paid";
  const auto pending = s.pending(0, 10);
  ASSERT_EQ(pending.value().size(), 2u);
  EXPECT_FALSE(pending.value()[0].bad_answer.has_value());
  EXPECT_EQ(s.first_open_row().value(), 0);
}

TEST_F(JobStore, PendingIsByIdInPieces) {
  Store s = created();
  for (int64_t i = 0; i < 10; ++i) add(s, row(i, "t" + std::to_string(i)));
  std::vector<std::string> inputs;
  int64_t after = 0;
  while (true) {
    const auto some = s.pending(after, 3);
    ASSERT_TRUE(some.ok());
    if (some.value().empty()) break;
    EXPECT_LE(some.value().size(), 3u);
    for (const PendingAsk& p : some.value()) {
      EXPECT_GT(p.id, after);
      after = p.id;
      inputs.push_back(p.input);
    }
  }
  ASSERT_EQ(inputs.size(), 10u);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(inputs[i], "t" + std::to_string(i));
}

TEST_F(JobStore, EntriesComeInOrderOfRows) {
  Store s = created();
  const std::string odd = std::string("caf\xc3\xa9 \"\n") + '\0' + "\x01";
  add(s, row(2, odd));
  add(s, row(5, "y", "audit"));
  add(s, row(7, odd));
  add(s, row(100, "z"));
  ASSERT_OK(s.start_attempt(1, 1, AttemptKind::kFirst, 9, 1));
  end(s, end_of(1, 1, answered(2), 5));
  ASSERT_OK(s.start_attempt(2, 2, AttemptKind::kFirst, 9, 1));
  end(s, end_of(2, 2, failed("no \"luck\""), 0));
  const auto all = entries(s);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].row.row, 2);
  EXPECT_EQ(all[0].row.id, "\"r2\"");
  EXPECT_EQ(all[0].row.input, odd);
  EXPECT_EQ(all[0].row.reason, "deferred");
  EXPECT_EQ(all[0].row.label, 1);
  EXPECT_EQ(all[0].row.score, 0.25);
  EXPECT_FALSE(all[0].row.handled);
  EXPECT_EQ(all[0].result.label, 2);
  EXPECT_EQ(all[1].row.row, 5);
  EXPECT_TRUE(all[1].row.handled);
  EXPECT_EQ(all[1].result.state, AskState::kFailed);
  EXPECT_EQ(all[1].result.error, "no \"luck\"");
  EXPECT_EQ(all[1].result.label, -1);
  EXPECT_EQ(all[2].row.row, 7);
  EXPECT_EQ(all[2].first_row, 2);
  EXPECT_EQ(all[2].ask, all[0].ask);
  EXPECT_EQ(all[3].result.state, AskState::kPending);
  EXPECT_EQ(entries(s, 6).size(), 2u);
  EXPECT_EQ(entries(s, 101).size(), 0u);
  EXPECT_EQ(s.count_rows(2, 7).value(), 2);
  EXPECT_EQ(s.count_rows(0, 1000).value(), 4);
  EXPECT_EQ(s.first_open_row().value(), 100);
  const auto sources = s.sources();
  ASSERT_TRUE(sources.ok());
  EXPECT_EQ(sources.value().llm, 1);
  EXPECT_EQ(sources.value().cache, 1);
  EXPECT_EQ(sources.value().surrogate, 1);
  EXPECT_EQ(sources.value().error, 1);
}

TEST_F(JobStore, Checkpoints) {
  Store s = created();
  EXPECT_TRUE(s.checkpoints().value().empty());
  for (const int64_t rows : {30, 10, 20})
    ASSERT_OK(s.add_checkpoint({rows, rows * 100, std::numeric_limits<uint64_t>::max() - static_cast<uint64_t>(rows)}));
  auto all = s.checkpoints();
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[0].rows, 10);
  EXPECT_EQ((*all)[2].bytes, 3000);
  EXPECT_EQ((*all)[1].hash, std::numeric_limits<uint64_t>::max() - 20);
  ASSERT_OK(s.drop_checkpoints_after(20));
  EXPECT_EQ(s.checkpoints()->size(), 2u);
  ASSERT_OK(s.drop_checkpoints_after(0));
  EXPECT_TRUE(s.checkpoints()->empty());
}

void execute(const std::string& path, const std::string& sql) {
  auto db = io::Database::open(path, io::Database::Mode::kCreate);
  ASSERT_TRUE(db.ok());
  ASSERT_OK(db->execute(sql));
  ASSERT_OK(db->close());
}

TEST_F(JobStore, WhatAKilledCreateLeftIsRemovedAndNothingElse) {
  folder_.write("out.jsonl.job", "");  // before SQLite wrote its first page
  EXPECT_TRUE(Store::remove_unborn(path_).value());
  EXPECT_FALSE(std::filesystem::exists(path_));
  execute(path_, "PRAGMA journal_mode=WAL");  // and after it
  EXPECT_TRUE(Store::remove_unborn(path_).value());
  EXPECT_FALSE(std::filesystem::exists(path_));
  execute(path_, "CREATE TABLE theirs(x)");
  EXPECT_FALSE(Store::remove_unborn(path_).value());
  std::filesystem::remove(path_);
  {
    Store s = created();
    EXPECT_EQ(Store::remove_unborn(path_).status().code(), ErrorCode::kIo) << "in use";
  }
  EXPECT_FALSE(Store::remove_unborn(path_).value());
  EXPECT_TRUE(Store::open(path_).ok());
  const std::string foreign = folder_.write("foreign", "a text");
  EXPECT_EQ(Store::remove_unborn(foreign).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(slurp(foreign), "a text");
}

TEST_F(JobStore, OtherVersionsAndForeignFilesAreRefused) {
  const auto refused = [&](const std::string& path, const std::string& part) {
    for (const auto& store : {Store::open(path).status(), Store::open_to_read(path).status()}) {
      EXPECT_EQ(store.code(), ErrorCode::kBadInput) << path << store.message();
      EXPECT_TRUE(contains(store.message(), path));
      EXPECT_TRUE(contains(store.message(), part));
    }
  };
  { Store s = created(); }
  execute(path_, "PRAGMA user_version=1");
  refused(path_, "found 1");
  execute(path_, "PRAGMA user_version=-1");
  refused(path_, "found -1");
  execute(path_, "PRAGMA user_version=2; UPDATE meta SET value = '{}' WHERE key = 'config'");
  refused(path_, "policy");
  execute(path_, "UPDATE meta SET value = '[' WHERE key = 'config'");
  refused(path_, "config");
  execute(path_, "DELETE FROM meta");
  refused(path_, "config");
  const std::string foreign = folder_.path("foreign");
  execute(foreign, "CREATE TABLE t(x)");
  refused(foreign, "no job");
  refused(folder_.write("empty", ""), "no job");
  refused(folder_.write("text", "{\"id\":1}\n"), "no database");
  refused(folder_.write("long", std::string(100'000, 'x')), "no database");
  EXPECT_EQ(Store::open(folder_.root()).status().code(), ErrorCode::kIo) << "a folder";
}

TEST_F(JobStore, AJobWithoutItsTablesIsAnError) {
  { Store s = created(); }
  for (const char* table : {"rows", "asks", "attempts", "checkpoints", "meta"}) {
    const std::string path = folder_.path(table);
    std::filesystem::copy_file(path_, path);
    execute(path, std::string("DROP TABLE ") + table);
    auto store = Store::open(path);
    EXPECT_FALSE(store.ok() && store->checkpoints().ok()) << table;
  }
}

// Labels are indexes into the config's: no other may leave the store.
TEST_F(JobStore, LabelsOutsideTheConfigAreDamage) {
  fill();
  for (const char* sql : {"UPDATE asks SET label = 3 WHERE state = 1", "UPDATE asks SET label = -1 WHERE state = 1",
                          "UPDATE asks SET label = NULL WHERE state = 1", "UPDATE asks SET label = 4294967296",
                          "UPDATE rows SET label = 3 WHERE handled", "UPDATE rows SET label = -1 WHERE handled",
                          "UPDATE asks SET state = 7"}) {
    const std::string path = folder_.path("damaged");
    std::filesystem::copy_file(path_, path, std::filesystem::copy_options::overwrite_existing);
    execute(path, sql);
    auto store = Store::open_to_read(path);
    ASSERT_TRUE(store.ok());
    auto reader = store->entries(0);
    ASSERT_TRUE(reader.ok());
    Store::Entry e;
    auto more = reader->next(e);
    while (more.ok() && more.value()) more = reader->next(e);
    EXPECT_EQ(more.status().code(), ErrorCode::kBadInput) << sql;
    EXPECT_TRUE(contains(more.status().message(), "damaged"));
  }
}

// Uses everything of a job that may be damaged. False: something said so.
bool use(const std::string& path, bool write) {
  auto store = write ? Store::open(path) : Store::open_to_read(path);
  if (!store.ok()) {
    EXPECT_FALSE(store.status().message().empty());
    return false;
  }
  bool good = store->ledger().ok();
  good &= store->sources().ok();
  good &= store->checkpoints().ok();
  good &= store->first_open_row().ok();
  good &= store->count_rows(0, 100).ok();
  good &= store->pending(0, 1000).ok();
  const LineFormat format({"a", "b", "c"}, true);
  if (auto reader = store->entries(0); reader.ok()) {
    Store::Entry e;
    for (int i = 0; i < 5000; ++i) {
      const auto more = reader->next(e);
      good &= more.ok();
      if (!more.ok() || !more.value()) break;
      (void)format.asked(e.row, e.result, e.row.row == e.first_row, "pending");
    }
  } else {
    good = false;
  }
  if (write) {
    good &= store->begin().ok();
    good &= store->recover(true).ok();
    good &= store->add_row(row(1000, "new")).ok();
    good &= store->start_attempt(store->next_attempt(), 1, AttemptKind::kFirst, 5, 1).ok();
    good &= store->commit().ok();
  }
  (void)store->close();
  return good;
}

TEST_F(JobStore, TruncationNeverCrashes) {
  fill();
  EXPECT_TRUE(use(path_, true));
  const std::string bytes = slurp(path_);
  ASSERT_GT(bytes.size(), 16'384u);
  for (size_t n = 0; n < bytes.size(); n += n < 200 ? 23 : 1531)
    EXPECT_FALSE(use(folder_.write("cut", bytes.substr(0, n)), true)) << n;
}

TEST_F(JobStore, BitFlipsNeverCrash) {
  fill();
  const std::string bytes = slurp(path_);
  uint64_t random = 1;
  const auto next = [&] { return random = random * 6364136223846793005u + 1442695040888963407u, random >> 33; };
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes;
    // Headers of the file and of its pages decide most.
    const size_t page = next() % (bytes.size() / 4096) * 4096;
    const size_t at = i % 3 == 0 ? next() % bytes.size() : i % 3 == 1 ? next() % 100 : page + next() % 300;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << next() % 8));
    use(folder_.write("flip", damaged), i % 8 == 0);
    for (const char* beside : {"flip-wal", "flip-shm", "flip-journal"}) std::filesystem::remove(folder_.path(beside));
  }
}

class JobOutputFile : public testing::Test {
 protected:
  const TempFolder folder_;
  const std::string path_ = folder_.path("out.jsonl");

  // Three stretches of two lines.
  std::vector<Checkpoint> written() const {
    std::vector<Checkpoint> all;
    auto out = OutputFile::create(path_);
    EXPECT_TRUE(out.ok());
    for (int i = 0; i < 6; ++i) {
      const auto none = out->append("line " + std::to_string(i));
      EXPECT_TRUE(none.ok() && !none.value().has_value());
      if (i % 2 == 0) continue;
      const auto c = out->flush();
      EXPECT_TRUE(c.ok() && c.value().has_value());
      all.push_back(*c.value());
    }
    EXPECT_TRUE(out->sync().ok());
    return all;
  }
  int64_t resumed(const std::vector<Checkpoint>& checkpoints, int64_t most = -1) const {
    const auto out = OutputFile::resume(path_, checkpoints, most);
    EXPECT_TRUE(out.ok()) << out.status().message();
    if (!out.ok()) return -1;
    EXPECT_EQ(static_cast<int64_t>(slurp(path_).size()), out.value().at().bytes);
    EXPECT_EQ(out.value().rows(), out.value().at().rows);
    return out.value().rows();
  }
};

TEST_F(JobOutputFile, CheckpointsAreOfWhatIsInTheFile) {
  const auto all = written();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(slurp(path_), "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n");
  uint64_t hash = 0;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all[i].rows, static_cast<int64_t>(2 * i + 2));
    EXPECT_EQ(all[i].bytes, static_cast<int64_t>(14 * i + 14));
    hash = io::xxh64(slurp(path_).substr(14 * i, 14), hash);
    EXPECT_EQ(all[i].hash, hash);
  }
}

TEST_F(JobOutputFile, BuffersUntilAStretch) {
  auto out = OutputFile::create(path_);
  ASSERT_TRUE(out.ok());
  EXPECT_FALSE(out->flush().value().has_value()) << "nothing to write";
  const std::string line(100'000, 'x');
  int64_t rows = 0;
  for (int i = 0; i < 10; ++i, ++rows) ASSERT_FALSE(out->append(line).value().has_value());
  EXPECT_EQ(out->rows(), 10);
  EXPECT_EQ(out->at().rows, 0);
  EXPECT_EQ(slurp(path_).size(), 0u);
  const auto c = out->append(line);
  ASSERT_TRUE(c.ok() && c.value().has_value());
  EXPECT_EQ(c.value()->rows, 11);
  EXPECT_EQ(c.value()->bytes, 11 * 100'001);
  EXPECT_EQ(slurp(path_).size(), 11u * 100'001);
}

TEST_F(JobOutputFile, CreateEmptiesAndRefusesAFolder) {
  folder_.write("out.jsonl", "old");
  ASSERT_TRUE(OutputFile::create(path_).ok());
  EXPECT_EQ(slurp(path_), "");
  EXPECT_EQ(OutputFile::create(folder_.root()).status().code(), ErrorCode::kIo);
  EXPECT_EQ(OutputFile::resume(folder_.path("no/out"), {}, -1).status().code(), ErrorCode::kIo);
}

TEST_F(JobOutputFile, GoesOnWhereItWas) {
  const auto all = written();
  const std::string bytes = slurp(path_);
  EXPECT_EQ(resumed(all), 6);
  EXPECT_EQ(slurp(path_), bytes);
  auto out = OutputFile::resume(path_, {all[0], all[1]}, -1);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->rows(), 4);
  ASSERT_TRUE(out->append("line 4").ok());
  ASSERT_TRUE(out->append("line 5").ok());
  const auto c = out->flush();
  EXPECT_EQ(slurp(path_), bytes);
  EXPECT_EQ(c.value()->hash, all[2].hash) << "the chain goes on";
}

TEST_F(JobOutputFile, MostRowsCutsAtACheckpoint) {
  const auto all = written();
  const std::string bytes = slurp(path_);
  const std::pair<int64_t, int64_t> cases[] = {{-1, 6}, {100, 6}, {6, 6}, {5, 4}, {4, 4}, {3, 2}, {1, 0}, {0, 0}};
  for (const auto& [most, kept] : cases) {
    folder_.write("out.jsonl", bytes);
    EXPECT_EQ(resumed(all, most), kept) << most;
  }
}

TEST_F(JobOutputFile, EveryTruncationKeepsWholeStretches) {
  const auto all = written();
  const std::string bytes = slurp(path_);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    folder_.write("out.jsonl", bytes.substr(0, n));
    EXPECT_EQ(resumed(all), static_cast<int64_t>(n / 14 * 2)) << n;
  }
  folder_.write("out.jsonl", bytes + "half a li");
  EXPECT_EQ(resumed(all), 6) << "what no checkpoint confirms is cut off";
}

TEST_F(JobOutputFile, EveryEditIsNoticed) {
  const auto all = written();
  const std::string bytes = slurp(path_);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string edited = bytes;
    edited[at] = static_cast<char>(edited[at] ^ 1);
    folder_.write("out.jsonl", edited);
    EXPECT_EQ(resumed(all), static_cast<int64_t>(at / 14 * 2)) << at;
  }
}

TEST_F(JobOutputFile, AnAbsentFileIsMade) {
  const auto all = written();
  std::filesystem::remove(path_);
  EXPECT_EQ(resumed(all), 0);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(JobOutputFile, CheckpointsThatCannotBe) {
  const auto all = written();
  const std::string bytes = slurp(path_);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::vector<std::vector<Checkpoint>> cases = {
      {},
      {{2, -1, 0}},
      {{2, 0, 0}},
      {{2, kMax, 0}},
      {{2, std::numeric_limits<int64_t>::min(), 0}},
      {{2, 14, all[0].hash + 1}},
      {all[1]},
      {{2, 15, all[0].hash}},
  };
  for (const auto& checkpoints : cases) {
    folder_.write("out.jsonl", bytes);
    EXPECT_EQ(resumed(checkpoints), 0);
  }
  folder_.write("out.jsonl", bytes);
  EXPECT_EQ(resumed({all[0], all[0], all[1]}), 2);
}

TEST(JobLines, DollarsText) {
  const std::pair<int64_t, const char*> cases[] = {{0, "0"},
                                                   {1, "0.000000000001"},
                                                   {10, "0.00000000001"},
                                                   {12'750'000, "0.00001275"},
                                                   {37'500, "0.0000000375"},
                                                   {999'999'999'999, "0.999999999999"},
                                                   {1'000'000'000'000, "1"},
                                                   {1'500'000'000'000, "1.5"},
                                                   {10'000'000'000'000, "10"},
                                                   {100'000'000'000'001, "100.000000000001"},
                                                   {std::numeric_limits<int64_t>::max(), "9223372.036854775807"}};
  for (const auto& [picodollars, text] : cases) EXPECT_EQ(dollars_text(picodollars), text);
}

}  // namespace
}  // namespace tracer::job
