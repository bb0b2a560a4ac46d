// A whole trace file as the engine wants it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/log/traces.h"
#include "host/io/text_hash.h"
#include "host/io/trace_reader.h"
#include "kernels/status.h"

namespace tracer::io {

struct TraceReadOptions {
  TraceReaderOptions reader;    // need_label is taken as true: a trace has a teacher's answer
  std::string rejects_path;     // where bad rows go, {"line":N,"error":"..."} a line; "": nowhere
  double max_bad_ratio = 0.01;  // bad rows / data lines above which reading fails; in [0, 1]
  bool keep_input = false;      // TraceFile::input is filled
};

// Frozen values: they are written to files.
enum class RowOrigin : uint8_t { kTrace = 0, kDeferred = 1, kAudit = 2 };

struct TraceFile {
  Traces traces;                   // the good rows; a row without the group key is a group of its own
  std::vector<int64_t> position;   // of each row: its row in the vector file
  std::vector<std::string> input;  // the rows' text, when it was asked for
  // With reader.read_provenance, of each row; a label of -1 is an audit row without a usable answer.
  std::vector<RowOrigin> provenance;
  std::vector<std::string> policy;  // "" where absent
  // Names the row for ever: its occurrence, else its id with nothing more, else what it holds and how often that has
  // stood in the file; hashed.
  std::vector<uint64_t> name;
  int64_t positions = 0;  // data lines, good and bad: the rows the vector file must have
  int64_t bad = 0;        // bad rows, all of them in rejects_path
  std::string first_bad;  // "line 7: no label (...)", "" when bad == 0
  std::string sha256;     // of the file's raw bytes
};

// Reads all of `path`. Unless keep_input, text is hashed and not kept: memory is about 50 bytes a row plus ids.
// kBadInput: above max_bad_ratio (checked at the end, and already from 1,000 data lines on when the ratio so far is ten
// times the limit or halfway between the limit and 1), no good row, a group key that no row has, or what TraceReader
// refuses; the message names the file, the counts, the first bad line and its reason. kIo: reading, or writing
// rejects_path, failed. The rejects file is created (or truncated) at the first bad row, so without one it is not
// touched.
Result<TraceFile> read_traces(const std::string& path, const TraceReadOptions& options);

// The same of rows that are in memory: `next` fills a row, whose views are used before it is asked again, and is false
// after the last one. Lines count from 1, positions from 0. A row without a label or with an empty one is kBadInput
// that names its line; so are no rows, and a group key (reader.group_by) that no row has. sha256 is "".
Result<TraceFile> gather_traces(const std::string& name, const std::function<bool(TraceRow&)>& next,
                                const TraceReadOptions& options);

}  // namespace tracer::io
