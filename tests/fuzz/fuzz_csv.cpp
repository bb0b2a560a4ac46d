// Any bytes as a CSV trace file.
#include <simdjson.h>

#include "host/io/trace_reader.h"
#include "tests/fuzz/check.h"

namespace {

bool is_utf8(std::string_view s) { return simdjson::validate_utf8(s.data(), s.size()); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  // A header in front, so that the fuzzer gets to the records; without it every second input.
  std::string bytes = size % 2 == 0 ? "input,label,id,timestamp,g\n" : "";
  bytes.append(reinterpret_cast<const char*>(data), size);
  io::TraceReaderOptions options;
  options.format = io::TraceFormat::kCsv;
  options.group_by = "g";
  options.lines.max_line_bytes = 300;
  io::TraceReader reader = io::TraceReader::from_memory(bytes, "fuzz", options);
  int64_t position = 0, line = 0;
  for (;;) {
    Result<io::RowKind> kind = reader.next();
    if (!kind.ok()) {
      check(kind.status().code() == ErrorCode::kBadInput && !kind.status().message().empty());
      return 0;
    }
    if (*kind == io::RowKind::kEnd) break;
    const bool good = *kind == io::RowKind::kRow;
    const int64_t at = good ? reader.row().line : reader.bad().line;
    check((good ? reader.row().position : reader.bad().position) == position++);
    check(at > line);
    line = at;
    if (good) {
      check(is_utf8(reader.row().input) && is_utf8(reader.row().label) && !reader.row().label.empty());
    } else {
      check(!reader.bad().reason.empty() && is_utf8(reader.bad().reason));
    }
  }
  check(reader.positions() == position);
  return 0;
}
