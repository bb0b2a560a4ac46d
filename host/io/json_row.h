// One JSONL trace: which of an object's fields mean what.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/trace_reader.h"

namespace tracer::io {

// The names looked for, in order: the option's key alone when it is set.
struct TraceKeys {
  std::vector<std::string> input;
  std::vector<std::string> label;
};
TraceKeys trace_keys(const TraceReaderOptions& options);

// "input, query, text": for messages.
std::string joined(const std::vector<std::string>& names);

// Why a row's provenance cannot be used, "" where it can: an unknown word, or an audit row that nothing names for ever.
std::string provenance_problem(const TraceRow& row);

// Without ASCII whitespace at both ends.
std::string_view trimmed(std::string_view text);

// Parses lines by the rules stated at TraceReader. Not thread-safe; keeps simdjson's buffers between lines.
class JsonRowParser {
 public:
  explicit JsonRowParser(const TraceReaderOptions& options);
  ~JsonRowParser();
  JsonRowParser(JsonRowParser&&) noexcept;
  JsonRowParser& operator=(JsonRowParser&&) noexcept;

  // Fills `row` except line and position, or returns false with the reason. LineReader::kPadding bytes after `line`
  // must be readable. Views in `row` are valid until the next call and while `line`'s buffer is unchanged.
  bool parse(std::string_view line, TraceRow& row, std::string& reason);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tracer::io
