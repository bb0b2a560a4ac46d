// Traces, one row at a time, from JSONL or CSV. A bad row is an answer, not an error: the reader goes on.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/line_reader.h"
#include "kernels/status.h"

namespace tracer::io {

enum class TraceFormat {
  kAuto,  // CSV when the path ends in .csv or .csv.gz (any case), else JSONL
  kJsonl,
  kCsv,
};

struct TraceReaderOptions {
  TraceFormat format = TraceFormat::kAuto;
  std::string input_key;       // "": the first of input, query, text, prompt, question that the row has
  std::string label_key;       // "": the first of teacher, teacher_output, label, intent, output, answer
  std::string group_by;        // "": no groups; else a key of the row or, when absent there, of its `metadata` object
  bool need_label = true;      // a row without a label is bad (fit, evaluate) or fine (route)
  bool read_timestamp = true;  // false: `timestamp` is ignored, however it looks
  // Rows as `tracer run` exports them (docs/updating.md): `provenance`, `policy` and `occurrence` are read, and a row
  // of provenance "audit" needs no label, whatever need_label says.
  bool read_provenance = false;
  LineReaderOptions lines;  // lines.max_line_bytes also bounds a CSV record
};

inline constexpr char kAuditProvenance[] = "audit";
inline constexpr char kDeferredProvenance[] = "deferred";

// Views are valid until the next call of TraceReader::next. Text is valid UTF-8.
struct TraceRow {
  int64_t line = 0;      // 1-based line of the file (the first, for a CSV record over several)
  int64_t position = 0;  // 0-based among data lines: the row of a vector file that belongs to it
  std::string_view input;
  bool has_label = false;
  std::string_view label;  // trimmed, not empty; a number or boolean is its text
  bool has_id = false;
  std::string_view id;  // a string, or a number as its text
  bool has_ground_truth = false;
  std::string_view ground_truth;  // trimmed; as label
  bool has_group = false;
  std::string_view group;
  std::string_view provenance;  // "", "audit" or "deferred": another one makes a bad row
  std::string_view policy;      // digest of the policy that ran; "" where absent
  std::string_view occurrence;  // names the row for ever; "" where absent
  double timestamp = std::numeric_limits<double>::quiet_NaN();  // seconds since 1970, UTC; NaN where absent
};

struct BadRow {
  int64_t line = 0;
  int64_t position = 0;  // a bad row still has its row in the vector file
  std::string reason;    // names the field; valid UTF-8; holds no text of the row
};

enum class RowKind { kRow, kBad, kEnd };

// The rules.
// * Blank lines (nothing but spaces and tabs) are skipped and have no position.
// * JSONL: each line one object, wholly validated. A field that is null counts as absent. Of a repeated key the first
//   counts. `input` must be a string; the label a string, number or boolean; `id` a string or number; the group key a
//   string, number or boolean; `timestamp` as timestamp.h reads it. A label that is not needed and a `ground_truth`
//   are taken as absent when they are of another type. Nesting deeper than 128 is bad.
// * CSV: RFC 4180, comma, first row the header; line ends inside quotes read as "\n"; an empty cell counts as absent
//   (but an empty input is an empty input); another number of cells than the header's is bad. A quote that is never
//   closed, or closed in the middle of a cell, makes every line it swallowed (at most 1,000) a bad row of its own, so
//   that the count of bad rows tells the loss.
//
// Not thread-safe. Speed: above a million short JSONL rows a second on one core. Constant memory.
class TraceReader {
 public:
  // kIo when the file cannot be opened.
  static Result<TraceReader> open(const std::string& path, const TraceReaderOptions& options);
  // As open, over bytes that must outlive the reader. kAuto is JSONL unless `name` ends in .csv.
  static TraceReader from_memory(std::string_view bytes, std::string name, const TraceReaderOptions& options);
  ~TraceReader();
  TraceReader(TraceReader&&) noexcept;
  TraceReader& operator=(TraceReader&&) noexcept;

  // kRow: see row(). kBad: see bad(). kEnd: no more. A Status when reading must stop: kIo; kBadInput for damaged gzip
  // or a CSV header without the columns asked for.
  Result<RowKind> next();
  const TraceRow& row() const;
  const BadRow& bad() const;

  // Data lines so far, good and bad: after kEnd, the number of rows the vector file must have.
  int64_t positions() const;
  // See LineReader.
  std::string sha256() const;
  int64_t raw_bytes() const;

 private:
  struct State;
  explicit TraceReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tracer::io
