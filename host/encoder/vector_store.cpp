#include "host/encoder/vector_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "host/io/text_hash.h"

namespace tracer {
namespace {

constexpr int64_t kApplication = 0x54524543;  // "TREC"
constexpr int64_t kVersion = 1;
constexpr int64_t kPatienceMs = 10'000, kStepMs = 20;

std::string_view view(const VectorKey& key) { return {key.data(), key.size()}; }

int64_t checksum(const VectorKey& key, std::string_view vector) {
  uint64_t seed = 0;
  std::memcpy(&seed, key.data(), sizeof seed);
  return static_cast<int64_t>(io::xxh64(vector, seed));
}

}  // namespace

Result<VectorStore> VectorStore::open(const std::string& path, int64_t most_bytes) {
  VectorStore store;
  store.path_ = path;
  store.most_bytes_ = most_bytes;
  TRACER_ASSIGN_OR_RETURN(auto db, io::Database::open(path, io::Database::Mode::kCreate));
  store.db_ = std::make_unique<io::Database>(std::move(db));
  TRACER_RETURN_IF_ERROR(store.db_->execute("BEGIN"));  // one snapshot: another process may be making it
  TRACER_ASSIGN_OR_RETURN(auto fresh, store.is_new());
  TRACER_RETURN_IF_ERROR(store.db_->execute("COMMIT"));
  if (fresh) TRACER_RETURN_IF_ERROR(store.make());
  TRACER_RETURN_IF_ERROR(store.use_log());
  TRACER_RETURN_IF_ERROR(store.prepare());
  return store;
}

// Whether nobody has made the cache yet; kBadInput where the file is something else.
Result<bool> VectorStore::is_new() {
  auto application = number("PRAGMA application_id"), version = number("PRAGMA user_version"),
       tables = number("SELECT count(*) FROM sqlite_schema");
  for (const auto* read : {&application, &version, &tables})
    if (!read->ok()) return read->status();
  if (*application == 0 && *version == 0 && *tables == 0) return true;
  if (*application != kApplication) return bad_input(path_ + ": no embedding cache, but a database of something else");
  if (*version != kVersion)
    return bad_input(path_ + ": expected an embedding cache of version " + std::to_string(kVersion) + ", found " +
                     std::to_string(*version) + "; name another file, or remove this one");
  return false;
}

Status VectorStore::make() {
  return in_transaction([&]() -> Status {
    auto still = is_new();  // another process may have been first
    if (!still.ok() || !*still) return still.status();
    return db_->execute(
        "CREATE TABLE entries(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, checksum INTEGER NOT NULL, "
        "vector BLOB NOT NULL);"
        "CREATE TABLE uses(id INTEGER PRIMARY KEY, used INTEGER NOT NULL);"
        "CREATE TABLE sessions(last INTEGER NOT NULL); INSERT INTO sessions VALUES(0);"
        "PRAGMA application_id=" +
        std::to_string(kApplication) + "; PRAGMA user_version=" + std::to_string(kVersion));
  });
}

Status VectorStore::use_log() {
  // SQLite does not wait for others when it changes the journal's mode.
  Status set;
  for (int64_t waited_ms = 0; waited_ms < kPatienceMs; waited_ms += kStepMs) {
    auto mode = db_->prepare("PRAGMA journal_mode=WAL");
    set = mode.status();
    if (mode.ok()) {
      auto row = mode->step();
      set = row.status();
      if (row.ok() && *row && mode->text(0) == "wal") break;
      if (row.ok()) set = io_error(path_ + ": this file system takes no embedding cache (no write-ahead log)");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
  }
  TRACER_RETURN_IF_ERROR(set);
  for (const char* pragma :
       {"PRAGMA synchronous=NORMAL", "PRAGMA journal_size_limit=67108864", "PRAGMA cache_size=-16384"})
    TRACER_RETURN_IF_ERROR(db_->execute(pragma));
  return {};
}

Status VectorStore::prepare() {
  const std::pair<io::Statement*, const char*> all[] = {
      {&find_,
       "SELECT e.id, e.checksum, e.vector, u.used FROM entries e LEFT JOIN uses u ON u.id = e.id WHERE key = ?1"},
      {&add_,
       "INSERT INTO entries(key, checksum, vector) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET checksum = ?2, "
       "vector = ?3 RETURNING id"},
      {&use_, "INSERT INTO uses(id, used) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET used = ?2"}};
  for (const auto& [statement, sql] : all) {
    TRACER_ASSIGN_OR_RETURN(auto prepared, db_->prepare(sql));
    *statement = std::move(prepared);
  }
  return {};
}

Result<int64_t> VectorStore::number(const std::string& sql) {
  TRACER_ASSIGN_OR_RETURN(auto statement, db_->prepare(sql));
  TRACER_ASSIGN_OR_RETURN(auto row, statement.step());
  if (!row) return bad_input(path_ + ": damaged: an embedding cache without " + sql);
  return statement.integer(0);
}

Result<int64_t> VectorStore::used_bytes() {
  auto pages = number("PRAGMA page_count"), unused = number("PRAGMA freelist_count"), size = number("PRAGMA page_size");
  for (const auto* read : {&pages, &unused, &size})
    if (!read->ok()) return read->status();
  return (*pages - *unused) * *size;
}

Result<VectorStore::Figures> VectorStore::figures() {
  auto entries = number("SELECT count(*) FROM uses");
  auto bytes = used_bytes();
  if (!entries.ok()) return entries.status();
  if (!bytes.ok()) return bytes.status();
  return Figures{*entries, *bytes};
}

Status VectorStore::in_transaction(const std::function<Status()>& work) {
  TRACER_RETURN_IF_ERROR(db_->execute("BEGIN IMMEDIATE"));
  Status done = work();
  if (done.ok()) done = db_->execute("COMMIT");
  if (!done.ok()) (void)db_->execute("ROLLBACK");  // where SQLite has done so itself, this says so
  return done;
}

Status VectorStore::begin_session() {
  if (session_ > 0) return {};
  TRACER_ASSIGN_OR_RETURN(auto last, number("UPDATE sessions SET last = last + 1 RETURNING last"));
  session_ = last;
  return {};
}

Status VectorStore::get(std::span<const VectorKey> keys, HostMatrix<float> out, std::vector<bool>& found) {
  found.assign(keys.size(), false);
  std::vector<int64_t> touched;
  const auto bytes = static_cast<size_t>(out.cols) * sizeof(float);
  TRACER_RETURN_IF_ERROR(db_->execute("BEGIN"));  // one snapshot: a lock for all look-ups, not one each
  const Status read = [&]() -> Status {
    for (size_t i = 0; i < keys.size(); ++i) {
      TRACER_ASSIGN_OR_RETURN(auto row, find_.bind_blob(1, view(keys[i])).step());
      if (row) {
        const std::string_view vector = find_.blob(2);
        if (vector.size() == bytes && find_.integer(1) == checksum(keys[i], vector)) {
          std::memcpy(out.row(static_cast<int64_t>(i)), vector.data(), bytes);
          found[i] = true;
          if (session_ == 0 || find_.integer(3) != session_) touched.push_back(find_.integer(0));
        } else {
          ++damaged_;
        }
      }
      find_.reset();
    }
    return {};
  }();
  const Status ended = db_->execute(read.ok() ? "COMMIT" : "ROLLBACK");
  TRACER_RETURN_IF_ERROR(read);
  TRACER_RETURN_IF_ERROR(ended);
  // Only the order of eviction suffers where this fails.
  if (!touched.empty()) (void)touch(touched);
  return {};
}

Status VectorStore::touch(const std::vector<int64_t>& ids) {
  const int64_t before = session_;
  const Status touched = in_transaction([&]() -> Status {
    TRACER_RETURN_IF_ERROR(begin_session());
    for (const int64_t id : ids) TRACER_RETURN_IF_ERROR(use_.bind(1, id).bind(2, session_).run());
    return {};
  });
  if (!touched.ok()) session_ = before;
  return touched;
}

Status VectorStore::put(std::span<const VectorKey> keys, HostMatrix<const float> vectors) {
  const int64_t before = session_;
  const auto bytes = static_cast<size_t>(vectors.cols) * sizeof(float);
  const Status kept = in_transaction([&]() -> Status {
    TRACER_RETURN_IF_ERROR(begin_session());
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::string_view vector(reinterpret_cast<const char*>(vectors.row(static_cast<int64_t>(i))), bytes);
      TRACER_RETURN_IF_ERROR(
          add_.bind_blob(1, view(keys[i])).bind(2, checksum(keys[i], vector)).bind_blob(3, vector).step().status());
      const int64_t id = add_.integer(0);
      add_.reset();
      TRACER_RETURN_IF_ERROR(use_.bind(1, id).bind(2, session_).run());
    }
    return evict();
  });
  if (!kept.ok()) session_ = before;
  return kept;
}

Status VectorStore::evict() {
  if (most_bytes_ == 0) return {};
  const int64_t aim = most_bytes_ - most_bytes_ / 32;
  for (bool first = true;; first = false) {
    TRACER_ASSIGN_OR_RETURN(auto now, figures());
    if (now.bytes <= (first ? most_bytes_ : aim) || now.entries == 0) return {};
    const int64_t each = std::max<int64_t>(1, now.bytes / now.entries);
    const std::string oldest =
        "(SELECT id FROM uses ORDER BY used, id LIMIT " + std::to_string((now.bytes - aim) / each + 1) + ")";
    TRACER_RETURN_IF_ERROR(db_->execute("DELETE FROM entries WHERE id IN " + oldest));
    TRACER_RETURN_IF_ERROR(db_->execute("DELETE FROM uses WHERE id IN " + oldest));
  }
}

}  // namespace tracer
