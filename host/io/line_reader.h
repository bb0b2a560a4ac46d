// Lines of a text file, one at a time, in constant memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer::io {

struct LineReaderOptions {
  int64_t max_line_bytes = int64_t{16} << 20;  // a longer line is kTooLong
  bool digest = false;                         // compute sha256() of the source while reading
};

enum class LineProblem {
  kNone,
  kTooLong,  // text is empty
  kNul,      // holds a zero byte
};

struct Line {
  std::string_view text;  // without its line end ("\n" or "\r\n"); valid until the next call
  int64_t number = 0;     // 1-based, counts every line
  LineProblem problem = LineProblem::kNone;
};

// Reads a plain or gzip file (told apart by the first bytes, several gzip members are one stream), "-" for standard
// input. A UTF-8 byte order mark at the start is dropped; a UTF-16 one is refused. The last line needs no line feed.
// Not thread-safe. Memory: a 256 KiB buffer, or the longest line.
class LineReader {
 public:
  // At least this many bytes after Line::text may be read (their value is unspecified): simdjson parses in place.
  static constexpr int64_t kPadding = 64;

  // kIo when the file cannot be opened. Reads nothing yet.
  static Result<LineReader> open(const std::string& path, const LineReaderOptions& options = {});
  // Reads `bytes` (plain or gzip), which must outlive the reader; `name` stands for the path in messages.
  static LineReader from_memory(std::string_view bytes, std::string name, const LineReaderOptions& options = {});
  ~LineReader();
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;

  // True and a line, or false at the end. kIo when reading fails; kBadInput for a gzip stream that is truncated or
  // damaged, and for UTF-16. After an error every call returns that error.
  Result<bool> next(Line& line);

  // Hex SHA-256 of the source's raw bytes (of the compressed ones, as sha256sum shows it), once next() returned false;
  // needs options.digest, else "".
  std::string sha256() const;
  const std::string& name() const;
  // Raw bytes taken from the source so far; buffered ahead of the lines.
  int64_t raw_bytes() const;

 private:
  struct State;
  explicit LineReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer::io
