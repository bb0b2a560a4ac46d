#include "host/job/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "host/io/sha256.h"

namespace tracer::job {
namespace {

constexpr char kSchema[] = R"(
  CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE asks(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, first_row INTEGER NOT NULL, input TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, label INTEGER, error TEXT, bad_answer TEXT,
    prompt_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0, batch INTEGER) STRICT;
  CREATE INDEX asks_pending ON asks(id) WHERE state = 0;
  CREATE TABLE rows(
    row INTEGER PRIMARY KEY, ask INTEGER NOT NULL REFERENCES asks(id), id TEXT NOT NULL, reason TEXT NOT NULL,
    handled INTEGER NOT NULL, label INTEGER NOT NULL, score REAL NOT NULL) STRICT;
  CREATE TABLE attempts(
    id INTEGER PRIMARY KEY, ask INTEGER NOT NULL, kind INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0,
    started REAL NOT NULL, http_status INTEGER, outcome TEXT, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, cost INTEGER NOT NULL DEFAULT 0, most_cost INTEGER NOT NULL,
    unknown INTEGER NOT NULL DEFAULT 1) STRICT;
  CREATE TABLE batches(
    id INTEGER PRIMARY KEY, state INTEGER NOT NULL, remote_id TEXT NOT NULL DEFAULT '', started REAL NOT NULL,
    requests INTEGER NOT NULL, most_cost INTEGER NOT NULL, dialect INTEGER NOT NULL,
    not_ours TEXT NOT NULL DEFAULT '', outcome TEXT NOT NULL DEFAULT '') STRICT;
  CREATE INDEX asks_batch ON asks(batch) WHERE batch IS NOT NULL;
  CREATE TABLE checkpoints(rows INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, hash INTEGER NOT NULL) STRICT;
)";

// 128 bits of the text's SHA-256: two texts with the same key do not occur.
std::string ask_key(const std::string& input) { return io::sha256_hex(input).substr(0, 32); }

int64_t raw(AskState state) { return static_cast<int64_t>(state); }

// Labels index the config's: one out of range would be read from beyond them.
Status check_label(const io::Statement& s, int column, int64_t labels, const std::string& path) {
  if (!s.null(column) && s.integer(column) >= 0 && s.integer(column) < labels) return {};
  return bad_input(path + ": damaged: a label that the job does not have");
}

Result<AskResult> read_result(const io::Statement& s, int column, int64_t labels, const std::string& path) {
  AskResult r;
  if (s.integer(column) < raw(AskState::kPending) || s.integer(column) > raw(AskState::kFailed))
    return bad_input(path + ": damaged: an ask in no known state");
  r.state = static_cast<AskState>(s.integer(column));
  if (r.state == AskState::kAnswered) {
    TRACER_RETURN_IF_ERROR(check_label(s, column + 1, labels, path));
    r.label = static_cast<int32_t>(s.integer(column + 1));
  }
  r.error = s.text(column + 2);
  r.usage = {s.integer(column + 3), s.integer(column + 4)};
  r.cost = s.integer(column + 5);
  return r;
}

void remove_files(const std::string& path) {
  for (const char* end : {"", "-wal", "-shm"}) (void)::unlink((path + end).c_str());
}

}  // namespace

std::string job_path_of(const std::string& given) {
  const std::string end = ".job";
  const bool named = given.size() > end.size() && given.compare(given.size() - end.size(), end.size(), end) == 0;
  return named ? given : given + end;
}

Result<Store> Store::opened(const std::string& path, io::Database::Mode mode) {
  Store store;
  store.path_ = path;
  if (mode != io::Database::Mode::kRead) {
    const int flags = O_RDWR | O_CLOEXEC | (mode == io::Database::Mode::kCreate ? O_CREAT | O_EXCL : 0);
    store.lock_ = io::UniqueFd(::open(path.c_str(), flags, 0666));
    if (!store.lock_.valid() && errno == EEXIST) return bad_input(path + ": there is a job already");
    if (!store.lock_.valid()) return io::errno_error(path, "cannot open the job", errno);
    if (::flock(store.lock_.get(), LOCK_EX | LOCK_NB) != 0)
      return io_error(path + ": another process is running this job");
  } else if (auto there = io::open_for_reading(path); !there.ok()) {
    return there.status();
  }
  TRACER_ASSIGN_OR_RETURN(auto db, io::Database::open(path, mode));
  store.db_ = std::make_unique<io::Database>(std::move(db));
  return store;
}

Result<Store> Store::create(const std::string& path, const JobConfig& config) {
  TRACER_ASSIGN_OR_RETURN(auto store, opened(path, io::Database::Mode::kCreate));
  const Status made = [&]() -> Status {
    // The version is set last, in the schema's transaction: a file without it was never a job.
    for (const std::string& sql :
         {std::string("PRAGMA journal_mode=WAL"), std::string("PRAGMA synchronous=FULL"), std::string("BEGIN"),
          std::string(kSchema), "PRAGMA user_version=" + std::to_string(kJobVersion)})
      TRACER_RETURN_IF_ERROR(store.db_->execute(sql));
    TRACER_RETURN_IF_ERROR(store.prepare());
    store.config_ = config;
    TRACER_RETURN_IF_ERROR(store.set_meta("config", config_text(config)));
    return store.commit();
  }();
  if (made.ok()) return store;
  remove_files(path);  // what is there (on a full disk) is no job, and would be in the way of the next try
  return made;
}

Result<bool> Store::remove_unborn(const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto store, opened(path, io::Database::Mode::kWrite));
  int64_t version = 0, tables = 0;
  TRACER_RETURN_IF_ERROR(store.read_row("PRAGMA user_version", {&version}));
  TRACER_RETURN_IF_ERROR(store.read_row("SELECT count(*) FROM sqlite_master", {&tables}));
  if (version != 0 || tables != 0) return false;
  remove_files(path);
  return true;
}

Result<Store> Store::open(const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto store, opened(path, io::Database::Mode::kWrite));
  TRACER_RETURN_IF_ERROR(store.db_->execute("PRAGMA synchronous=FULL"));
  TRACER_RETURN_IF_ERROR(store.prepare());
  TRACER_RETURN_IF_ERROR(store.read_config());
  return store;
}

Result<Store> Store::open_to_read(const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto store, opened(path, io::Database::Mode::kRead));
  TRACER_RETURN_IF_ERROR(store.prepare());
  TRACER_RETURN_IF_ERROR(store.read_config());
  return store;
}

Status Store::prepare() {
  TRACER_ASSIGN_OR_RETURN(auto version, db_->prepare("PRAGMA user_version"));
  TRACER_RETURN_IF_ERROR(version.step().status());
  if (version.integer(0) != kJobVersion)
    return bad_input(path_ + ": expected a job of version " + std::to_string(kJobVersion) + ", found " +
                     (version.integer(0) == 0 ? "no job" : std::to_string(version.integer(0))));
  version.reset();
  const std::string result = "state, label, error, prompt_tokens, completion_tokens, cost";
  const std::pair<io::Statement*, std::string> all[] = {
      {&find_ask_, "SELECT id, first_row, " + result + " FROM asks WHERE key = ?1"},
      {&add_ask_, "INSERT INTO asks(key, first_row, input) VALUES(?1, ?2, ?3)"},
      {&find_row_, "SELECT ask, reason, handled FROM rows WHERE row = ?1"},
      {&add_row_, "INSERT INTO rows(row, ask, id, reason, handled, label, score) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&start_, "INSERT INTO attempts(id, ask, kind, started, most_cost) VALUES(?1, ?2, ?3, ?4, ?5)"},
      {&end_,
       "UPDATE attempts SET state = 1, http_status = ?2, outcome = ?3, prompt_tokens = ?4, completion_tokens = ?5, "
       "cost = ?6, unknown = ?7 WHERE id = ?1"},
      {&settle_,
       "UPDATE asks SET prompt_tokens = prompt_tokens + ?2, completion_tokens = completion_tokens + ?3, cost = cost + "
       "?4, "
       "state = coalesce(?5, state), label = coalesce(?6, label), error = coalesce(?7, error), "
       "bad_answer = coalesce(?8, bad_answer) WHERE id = ?1 RETURNING " +
           result},
      {&pending_,
       "SELECT id, input, bad_answer FROM asks WHERE state = 0 AND batch IS NULL AND id > ?1 ORDER BY id LIMIT ?2"},
      {&meta_, "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2"}};
  for (const auto& [statement, sql] : all) {
    TRACER_ASSIGN_OR_RETURN(auto prepared, db_->prepare(sql));
    *statement = std::move(prepared);
  }
  TRACER_ASSIGN_OR_RETURN(auto routed, meta("routed"));
  std::from_chars(routed.data(), routed.data() + routed.size(), routed_);
  TRACER_ASSIGN_OR_RETURN(auto finished, meta("finished"));
  finished_ = finished == "1";
  TRACER_ASSIGN_OR_RETURN(auto last, db_->prepare("SELECT coalesce(max(id), 0) FROM attempts"));
  TRACER_RETURN_IF_ERROR(last.step().status());
  next_attempt_ = last.integer(0) + 1;
  return {};
}

Status Store::set_meta(const std::string& key, const std::string& value) {
  return meta_.bind(1, std::string_view(key)).bind(2, std::string_view(value)).run();
}

Result<std::string> Store::meta(const std::string& key) {
  TRACER_ASSIGN_OR_RETURN(auto statement, db_->prepare("SELECT value FROM meta WHERE key = ?1"));
  TRACER_ASSIGN_OR_RETURN(auto row, statement.bind(1, std::string_view(key)).step());
  return row ? statement.text(0) : std::string();
}

Status Store::read_config() {
  TRACER_ASSIGN_OR_RETURN(auto text, meta("config"));
  TRACER_ASSIGN_OR_RETURN(config_, parse_config(text, path_ + ": config"));
  return {};
}

Status Store::begin() { return db_->execute("BEGIN IMMEDIATE"); }
Status Store::commit() { return db_->execute("COMMIT"); }

Result<Store::Added> Store::add_row(const DeferredRow& row) {
  Added added;
  const std::string key = ask_key(row.input);
  TRACER_ASSIGN_OR_RETURN(auto ask, find_ask_.bind(1, std::string_view(key)).step());
  if (ask) {
    added.ask = find_ask_.integer(0);
    added.first_row = find_ask_.integer(1);
    auto known = read_result(find_ask_, 2, labels(), path_);
    if (!known.ok()) {
      find_ask_.reset();
      return known.status();
    }
    added.known = std::move(known).value();
  }
  find_ask_.reset();
  if (row.row < routed_) {
    TRACER_ASSIGN_OR_RETURN(auto there, find_row_.bind(1, row.row).step());
    const bool same = ask && there && find_row_.integer(0) == added.ask && find_row_.text(1) == row.reason &&
                      (find_row_.integer(2) != 0) == row.handled;
    find_row_.reset();
    if (!same) return another_row(row.row);
    return added;
  }
  if (!ask) {
    TRACER_RETURN_IF_ERROR(
        add_ask_.bind(1, std::string_view(key)).bind(2, row.row).bind(3, std::string_view(row.input)).run());
    added.ask = db_->last_id();
    added.first_row = row.row;
  }
  TRACER_RETURN_IF_ERROR(add_row_.bind(1, row.row)
                             .bind(2, added.ask)
                             .bind(3, std::string_view(row.id))
                             .bind(4, std::string_view(row.reason))
                             .bind(5, int64_t{row.handled})
                             .bind(6, int64_t{row.label})
                             .bind(7, row.score)
                             .run());
  return added;
}

Status Store::set_routed(int64_t rows, bool all) {
  if (rows > routed_) {
    routed_ = rows;
    TRACER_RETURN_IF_ERROR(set_meta("routed", std::to_string(rows)));
  }
  return all ? set_meta("rows", std::to_string(rows)) : Status();
}

Status Store::start_attempt(int64_t attempt, int64_t ask, AttemptKind kind, int64_t most_cost, double now) {
  next_attempt_ = std::max(next_attempt_, attempt + 1);
  return start_.bind(1, attempt).bind(2, ask).bind(3, static_cast<int64_t>(kind)).bind(4, now).bind(5, most_cost).run();
}

Result<AskResult> Store::end_attempt(const AttemptEnd& e) {
  TRACER_RETURN_IF_ERROR(end_.bind(1, e.attempt)
                             .bind(2, e.http_status)
                             .bind(3, std::string_view(e.outcome))
                             .bind(4, e.usage.prompt_tokens)
                             .bind(5, e.usage.completion_tokens)
                             .bind(6, e.cost)
                             .bind(7, int64_t{e.unknown})
                             .run());
  settle_.bind(1, e.ask).bind(2, e.usage.prompt_tokens).bind(3, e.usage.completion_tokens).bind(4, e.cost);
  for (const int column : {5, 6, 7, 8}) settle_.bind_null(column);
  if (e.result) {
    settle_.bind(5, raw(e.result->state));
    if (e.result->state == AskState::kAnswered) {
      settle_.bind(6, int64_t{e.result->label});
    } else {
      settle_.bind(7, std::string_view(e.result->error));
    }
  }
  if (e.bad_answer) settle_.bind(8, std::string_view(*e.bad_answer));
  TRACER_ASSIGN_OR_RETURN(auto row, settle_.step());
  Result<AskResult> result = row ? read_result(settle_, 0, labels(), path_) : AskResult{};
  settle_.reset();
  return result;
}

Result<std::vector<PendingAsk>> Store::pending(int64_t after, int64_t most) {
  std::vector<PendingAsk> out;
  pending_.bind(1, after).bind(2, most);
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto row, pending_.step());
    if (!row) break;
    out.push_back({pending_.integer(0), pending_.text(1), std::nullopt});
    if (!pending_.null(2)) out.back().bad_answer = pending_.text(2);
  }
  pending_.reset();
  return out;
}

Result<std::optional<Store::AskInfo>> Store::ask(int64_t id) {
  TRACER_ASSIGN_OR_RETURN(auto statement,
                          db_->prepare("SELECT state, bad_answer IS NOT NULL, first_row FROM asks WHERE id = ?1"));
  TRACER_ASSIGN_OR_RETURN(auto row, statement.bind(1, id).step());
  if (!row) return std::optional<AskInfo>();
  return std::optional<AskInfo>(
      AskInfo{static_cast<AskState>(statement.integer(0)), statement.integer(1) != 0, statement.integer(2)});
}

Status Store::recover(bool retry_errors) {
  TRACER_RETURN_IF_ERROR(
      db_->execute("UPDATE attempts SET state = 2, outcome = 'lost: the process ended' WHERE state = 0"));
  if (!retry_errors) return {};
  // An answer that was no label is asked for anew, from the start.
  return db_->execute("UPDATE asks SET state = 0, error = NULL, bad_answer = NULL WHERE state = 2");
}

Result<int64_t> Store::count_rows(int64_t first, int64_t end) {
  TRACER_ASSIGN_OR_RETURN(auto statement, db_->prepare("SELECT count(*) FROM rows WHERE row >= ?1 AND row < ?2"));
  TRACER_RETURN_IF_ERROR(statement.bind(1, first).bind(2, end).step().status());
  return statement.integer(0);
}

Result<int64_t> Store::first_open_row() {
  TRACER_ASSIGN_OR_RETURN(auto statement,
                          db_->prepare("SELECT first_row FROM asks WHERE state = 0 ORDER BY id LIMIT 1"));
  TRACER_ASSIGN_OR_RETURN(auto row, statement.step());
  return row ? statement.integer(0) : int64_t{-1};
}

Result<std::vector<Checkpoint>> Store::checkpoints() {
  TRACER_ASSIGN_OR_RETURN(auto statement, db_->prepare("SELECT rows, bytes, hash FROM checkpoints ORDER BY rows"));
  std::vector<Checkpoint> out;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto row, statement.step());
    if (!row) return out;
    out.push_back({statement.integer(0), statement.integer(1), static_cast<uint64_t>(statement.integer(2))});
  }
}

Status Store::add_checkpoint(const Checkpoint& c) {
  TRACER_ASSIGN_OR_RETURN(auto statement,
                          db_->prepare("INSERT OR REPLACE INTO checkpoints(rows, bytes, hash) VALUES(?1, ?2, ?3)"));
  return statement.bind(1, c.rows).bind(2, c.bytes).bind(3, static_cast<int64_t>(c.hash)).run();
}

Status Store::drop_checkpoints_after(int64_t rows) {
  return db_->execute("DELETE FROM checkpoints WHERE rows > " + std::to_string(rows));
}

// The one row of a query, as whole numbers.
Status Store::read_row(const std::string& sql, std::initializer_list<int64_t*> out) {
  TRACER_ASSIGN_OR_RETURN(auto statement, db_->prepare(sql));
  TRACER_RETURN_IF_ERROR(statement.step().status());
  int column = 0;
  for (int64_t* value : out) *value = statement.integer(column++);
  return {};
}

Result<Ledger> Store::ledger() {
  Ledger l;
  TRACER_RETURN_IF_ERROR(
      read_row("SELECT count(*), coalesce(sum(reason = 'audit'), 0) FROM rows", {&l.rows_deferred, &l.rows_audited}));
  TRACER_RETURN_IF_ERROR(
      read_row("SELECT count(*), coalesce(sum(state = 1), 0), coalesce(sum(state = 2), 0), "
               "coalesce(sum(state = 0), 0) FROM asks",
               {&l.asks, &l.answered, &l.failed, &l.pending}));
  TRACER_RETURN_IF_ERROR(
      read_row("SELECT count(*), coalesce(sum(kind = 1), 0), coalesce(sum(kind = 2), 0), coalesce(sum(state = 2), 0), "
               "coalesce(sum(state = 0), 0), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), "
               "coalesce(sum(cost), 0), coalesce(sum(CASE WHEN unknown THEN most_cost ELSE cost END), 0), "
               "coalesce(sum(unknown), 0) FROM attempts",
               {&l.attempts, &l.retries, &l.corrections, &l.lost, &l.in_flight, &l.usage.prompt_tokens,
                &l.usage.completion_tokens, &l.cost, &l.most_cost, &l.unknown}));
  int64_t in_batches = 0;
  TRACER_RETURN_IF_ERROR(
      read_row("SELECT count(*), coalesce(sum(most_cost), 0), (SELECT count(*) FROM asks WHERE batch IS NOT NULL AND "
               "state = 0) FROM batches WHERE state <> 2",
               {&l.batches, &in_batches, &l.in_batches}));
  l.most_cost += in_batches;
  l.rows_deferred -= l.rows_audited;
  return l;
}

Result<Store::Sources> Store::sources() {
  Sources s;
  TRACER_RETURN_IF_ERROR(
      read_row("SELECT coalesce(sum(a.state = 1 AND r.row = a.first_row), 0), coalesce(sum(a.state = 1 AND r.row <> "
               "a.first_row), 0), coalesce(sum(a.state <> 1 AND r.handled), 0), coalesce(sum(a.state <> 1 AND NOT "
               "r.handled), 0) "
               "FROM rows r JOIN asks a ON a.id = r.ask",
               {&s.llm, &s.cache, &s.surrogate, &s.error}));
  return s;
}

Status Store::set_finished(bool finished) {
  finished_ = finished;
  return set_meta("finished", finished ? "1" : "0");
}

Result<Store::Reader> Store::entries(int64_t from, int64_t end) {
  TRACER_ASSIGN_OR_RETURN(
      auto statement,
      db_->prepare(
          "SELECT r.row, r.id, r.reason, r.handled, r.label, r.score, a.input, a.id, a.first_row, a.state, a.label, "
          "a.error, "
          "a.prompt_tokens, a.completion_tokens, a.cost FROM rows r JOIN asks a ON a.id = r.ask WHERE r.row >= ?1 "
          "AND r.row < ?2 ORDER BY r.row"));
  statement.bind(1, from).bind(2, end);
  Reader reader;
  reader.rows_ = std::move(statement);
  reader.path_ = path_;
  reader.labels_ = labels();
  return reader;
}

Status Store::another_row(int64_t at) const {
  return bad_input(path_ + ": row " + std::to_string(at + 1) +
                   " of the input is not the one that this job began with: the input, its vectors or what decides "
                   "have changed since");
}

Result<bool> Store::Reader::next(Entry& e) {
  auto row = rows_.step();
  if (!row.ok() || !*row) return row;
  e.row = {rows_.integer(0), rows_.text(1),         rows_.text(6),
           rows_.text(2),    rows_.integer(3) != 0, static_cast<int32_t>(rows_.integer(4)),
           rows_.real(5)};
  e.ask = rows_.integer(7);
  e.first_row = rows_.integer(8);
  if (e.row.handled) TRACER_RETURN_IF_ERROR(check_label(rows_, 4, labels_, path_));
  TRACER_ASSIGN_OR_RETURN(e.result, read_result(rows_, 9, labels_, path_));
  return true;
}

Status Store::close() {
  // Statements first: a connection with one open does not close.
  for (io::Statement* s : {&find_ask_, &add_ask_, &find_row_, &add_row_, &start_, &end_, &settle_, &pending_, &meta_})
    *s = io::Statement();
  const Status closed = db_->close();
  lock_.reset();
  return closed;
}

}  // namespace tracer::job
