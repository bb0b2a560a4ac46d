#include "host/io/csv_reader.h"

#include <simdjson.h>

#include <algorithm>

namespace tracer::io {
namespace {

bool is_blank(std::string_view s) { return s.find_first_not_of(" \t") == std::string_view::npos; }

}  // namespace

void CsvReader::end_cell() { ends_.push_back(text_.size()); }

// Takes one line's characters, beginning inside a quoted cell when in_quotes_.
CsvReader::Scan CsvReader::scan(std::string_view s) {
  size_t i = 0;
  bool cell_begins = !in_quotes_;
  for (;;) {
    if (cell_begins && i < s.size() && s[i] == '"') {
      in_quotes_ = true;
      ++i;
    }
    if (in_quotes_) {
      for (;;) {
        const size_t quote = s.find('"', i);
        text_.append(s.substr(i, quote - i));
        if (quote == std::string_view::npos) return Scan::kOpenQuote;
        i = quote + 1;
        if (i >= s.size() || s[i] != '"') break;
        text_ += '"';
        ++i;
      }
      in_quotes_ = false;
      if (i < s.size() && s[i] != ',') return Scan::kMisplacedQuote;
    } else {
      const size_t comma = std::min(s.find(',', i), s.size());
      text_.append(s.substr(i, comma - i));
      i = comma;
    }
    end_cell();
    if (i >= s.size()) return Scan::kDone;
    ++i;  // the comma
    cell_begins = true;
  }
}

bool CsvReader::report_swallowed() {
  if (reported_ == swallowed_.size()) return false;
  line_ = swallowed_[reported_++];
  return true;
}

Result<bool> CsvReader::next() {
  cells_.clear();
  if (report_swallowed()) return true;  // with the problem of the record
  swallowed_.clear();
  reported_ = 0;
  problem_.clear();
  text_.clear();
  ends_.clear();
  in_quotes_ = false;

  Line line;
  int64_t count = 0;
  for (;;) {
    Result<bool> more = lines_.next(line);
    if (!more.ok()) return more;
    if (!*more) {
      if (count == 0) return false;
      problem_ = "a quote is never closed";
      break;
    }
    const bool blank = line.problem == LineProblem::kNone && is_blank(line.text);
    if (blank && count == 0) continue;
    if (!blank) swallowed_.push_back(line.number);
    if (count++ > 0) text_ += '\n';
    if (line.problem != LineProblem::kNone) {
      problem_ = line.problem == LineProblem::kNul ? "holds a zero byte" : "the line is too long";
      break;
    }
    if (!simdjson::validate_utf8(line.text.data(), line.text.size())) {
      problem_ = "invalid UTF-8";
      break;
    }
    const Scan result = scan(line.text);
    if (result == Scan::kDone) break;
    if (result == Scan::kMisplacedQuote) {
      problem_ = "a quote is closed in the middle of a cell";
      break;
    }
    if (count >= kMaxRecordLines || static_cast<int64_t>(text_.size()) > max_bytes_) {
      problem_ = "a quote is not closed within the limits of a record";
      break;
    }
  }
  if (!problem_.empty()) return report_swallowed();
  line_ = swallowed_.front();
  swallowed_.clear();
  size_t begin = 0;
  for (size_t end : ends_) {
    cells_.push_back(std::string_view(text_).substr(begin, end - begin));
    begin = end;
  }
  return true;
}

}  // namespace tracer::io
