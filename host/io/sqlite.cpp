#include "host/io/sqlite.h"

#include <sys/stat.h>

namespace tracer::io {
namespace {

Status failure(const std::string& path, int code, sqlite3* connection) {
  const std::string said = connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return bad_input(path + ": damaged, or no database: " + said);
    case SQLITE_FULL:
      return io_error(path + ": cannot write: the disk is full");
    case SQLITE_NOMEM:
      return out_of_memory("the database " + path);
    default:
      return io_error(path + ": " + said);
  }
}

// Reading in WAL mode makes a file of shared memory beside the database, which a read-only folder does not take. Where
// nothing waits in the log (the writer ended in order), the database alone is all there is.
bool can_read_alone(const std::string& path, sqlite3* connection) {
  struct stat log {};
  return sqlite3_exec(connection, "SELECT 1 FROM sqlite_schema", nullptr, nullptr, nullptr) == SQLITE_CANTOPEN &&
         (::stat((path + "-wal").c_str(), &log) != 0 || log.st_size == 0);
}

// The address of a file that nobody changes.
std::string immutable_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += c == '%' ? "%25" : c == '?' ? "%3f" : "%23";
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Statement& Statement::bound(int code) {
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}
Statement& Statement::bind(int at, int64_t value) { return bound(sqlite3_bind_int64(statement_.get(), at, value)); }
Statement& Statement::bind(int at, double value) { return bound(sqlite3_bind_double(statement_.get(), at, value)); }
Statement& Statement::bind(int at, std::string_view text) {
  return bound(sqlite3_bind_text64(statement_.get(), at, text.data() != nullptr ? text.data() : "", text.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8));
}
Statement& Statement::bind_blob(int at, std::string_view bytes) {
  return bound(sqlite3_bind_blob64(statement_.get(), at, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                                   SQLITE_STATIC));
}
Statement& Statement::bind_null(int at) { return bound(sqlite3_bind_null(statement_.get(), at)); }

Result<bool> Statement::step() {
  const int code = failed_ != SQLITE_OK ? failed_ : sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const Status status = failure(path_, code, sqlite3_db_handle(statement_.get()));
  reset();
  return status;
}

Status Statement::run() {
  auto row = step();
  reset();
  return row.status();
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  failed_ = SQLITE_OK;
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return bytes == nullptr ? ""
                          : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

std::string_view Statement::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<Database> Database::open(const std::string& path, Mode mode) {
  Database db;
  db.path_ = path;
  sqlite3* connection = nullptr;
  const int flags = mode == Mode::kRead    ? SQLITE_OPEN_READONLY
                    : mode == Mode::kWrite ? SQLITE_OPEN_READWRITE
                                           : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  int code = sqlite3_open_v2(path.c_str(), &connection, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  db.connection_.reset(connection);
  if (code == SQLITE_OK && mode == Mode::kRead && can_read_alone(path, connection)) {
    code = sqlite3_open_v2(immutable_uri(path).c_str(), &connection, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI,
                           nullptr);
    db.connection_.reset(connection);
  }
  if (code != SQLITE_OK) return failure(path, code, connection);
  sqlite3_busy_timeout(connection, 10'000);
  sqlite3_extended_result_codes(connection, 1);
  return db;
}

Result<Statement> Database::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return failure(path_, code, connection_.get());
  Statement out;
  out.statement_.reset(statement);
  out.path_ = path_;
  return out;
}

Status Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : failure(path_, code, connection_.get());
}

Status Database::close() {
  const int code = sqlite3_close(connection_.get());
  if (code != SQLITE_OK) return failure(path_, code, connection_.get());
  (void)connection_.release();
  return {};
}

}  // namespace tracer::io
