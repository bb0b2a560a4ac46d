// Any bytes as a JSONL (or gzip) trace file. A second parser, nlohmann's, is the oracle: what we accept as a row it
// must accept too.
#include <simdjson.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "host/io/trace_reader.h"
#include "tests/fuzz/check.h"

namespace {

bool is_utf8(std::string_view s) { return simdjson::validate_utf8(s.data(), s.size()); }

bool may_overflow(std::string_view s) {
  for (size_t i = 1; i < s.size(); ++i) {
    if ((s[i] == 'e' || s[i] == 'E') && s[i - 1] >= '0' && s[i - 1] <= '9') return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  io::TraceReaderOptions options;
  options.group_by = "g";
  options.need_label = size % 2 == 0;
  options.lines.max_line_bytes = 300;
  io::TraceReader reader = io::TraceReader::from_memory(bytes, "fuzz", options);
  io::LineReader again = io::LineReader::from_memory(bytes, "fuzz", options.lines);
  io::Line line;
  int64_t position = 0;
  for (;;) {
    Result<io::RowKind> kind = reader.next();
    if (!kind.ok()) {
      check(kind.status().code() == ErrorCode::kBadInput && !kind.status().message().empty());
      return 0;
    }
    if (*kind == io::RowKind::kEnd) break;
    const bool good = *kind == io::RowKind::kRow;
    do check(*again.next(line));
    while (line.number < (good ? reader.row().line : reader.bad().line));
    if (!good) {
      const io::BadRow& bad = reader.bad();
      check(bad.position == position++ && !bad.reason.empty() && is_utf8(bad.reason));
      // It skips a byte order mark, which belongs at the start of a file only.
      const bool marked = line.text.starts_with("\xEF\xBB\xBF");
      check(!bad.reason.starts_with("not valid JSON") || marked || !nlohmann::json::accept(line.text));
      continue;
    }
    const io::TraceRow& row = reader.row();
    check(row.position == position++);
    check(is_utf8(row.input) && is_utf8(row.label) && is_utf8(row.id) && is_utf8(row.group));
    check(row.has_label ? !row.label.empty() : !options.need_label);
    check(!std::isinf(row.timestamp));
    // It refuses numbers that no double can hold, which we keep as text; within a line's 300 bytes they need an
    // exponent.
    check(may_overflow(line.text) || nlohmann::json::accept(line.text));
  }
  check(reader.positions() == position);
  return 0;
}
