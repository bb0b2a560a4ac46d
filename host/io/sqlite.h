// SQLite with errors as values. A connection and its statements belong to one thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer::io {

class Database;

// A prepared statement. bind() counts from 1; after step() returned false, or an error, reset() before the next use.
class Statement {
 public:
  Statement() = default;
  Statement& bind(int at, int64_t value);
  Statement& bind(int at, double value);
  Statement& bind(int at, std::string_view text);
  Statement& bind_blob(int at, std::string_view bytes);  // not copied: they stay until the next reset()
  Statement& bind_null(int at);
  // True: a row is there. The first error of a bind comes out here.
  Result<bool> step();
  // For a statement without rows: step, reset.
  Status run();
  void reset();

  int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  double real(int column) const { return sqlite3_column_double(statement_.get(), column); }
  std::string text(int column) const;
  std::string_view blob(int column) const;  // until the next step()
  bool null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  Statement& bound(int code);
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::string path_;
  int failed_ = SQLITE_OK;
};

class Database {
 public:
  enum class Mode { kCreate, kWrite, kRead };
  // kCreate: the file may be absent. kRead writes nothing. kIo, kBadInput where it is no database or damaged.
  static Result<Database> open(const std::string& path, Mode mode);
  Result<Statement> prepare(const std::string& sql);
  Status execute(const std::string& sql);
  int64_t last_id() const { return sqlite3_last_insert_rowid(connection_.get()); }
  // The first failure that a checkpoint or a close would hide.
  Status close();

 private:
  struct Close {
    void operator()(sqlite3* c) const { sqlite3_close_v2(c); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
  std::string path_;
};

}  // namespace tracer::io
