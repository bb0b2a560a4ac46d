// Records of a CSV file (RFC 4180), one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/line_reader.h"
#include "kernels/status.h"

namespace tracer::io {

// Comma-separated cells; a cell that begins with '"' runs to the closing one, '""' is one '"', and line ends inside are
// "\n". A '"' elsewhere is an ordinary character. Blank lines between records are skipped. Not thread-safe.
class CsvReader {
 public:
  static constexpr int64_t kMaxRecordLines = 1000;

  // A record is bounded by `max_record_bytes` and kMaxRecordLines.
  CsvReader(LineReader lines, int64_t max_record_bytes) : lines_(std::move(lines)), max_bytes_(max_record_bytes) {}

  // True: see cells(), line() and problem(). False at the end. A Status as LineReader::next.
  Result<bool> next();

  // Empty for a sound record; else why this *line* is not (part of) one. Each line that an unclosed or misplaced quote
  // swallowed comes as a problem of its own.
  const std::string& problem() const { return problem_; }
  // Valid until the next call; UTF-8 is checked.
  const std::vector<std::string_view>& cells() const { return cells_; }
  // 1-based: where the record begins.
  int64_t line() const { return line_; }

  const LineReader& lines() const { return lines_; }

 private:
  enum class Scan { kDone, kOpenQuote, kMisplacedQuote };
  Scan scan(std::string_view text);
  void end_cell();
  bool report_swallowed();

  LineReader lines_;
  int64_t max_bytes_;
  std::string problem_;
  int64_t line_ = 0;
  std::vector<std::string_view> cells_;

  std::string text_;          // the cells' characters, unquoted, one after the other
  std::vector<size_t> ends_;  // where in text_ each cell ends
  bool in_quotes_ = false;
  std::vector<int64_t> swallowed_;  // lines of a broken record, to be reported one by one
  size_t reported_ = 0;
};

}  // namespace tracer::io
