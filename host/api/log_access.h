// What the library itself sees of a Log, and how a log is read in steps. Not installed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/api/access.h"
#include "host/api/log.h"
#include "host/encoder/log_vectors.h"
#include "host/io/file_uses.h"
#include "host/io/traces.h"

namespace tracer {

struct Log::State {
  io::TraceFile file;
  LogVectors vectors;
  RowSource rows;                  // how it was read; rows.traces names it
  std::string vectors_path;        // "": made from the text
  std::optional<Encoder> encoder;  // that made the vectors here
  const Encoder* embeds() const { return encoder ? &*encoder : nullptr; }
};

struct LogAccess {
  static Log::State& state(Log& log) { return *log.state_; }
  static Log make(std::unique_ptr<Log::State> state) { return Log(std::move(state)); }
};

// The file that takes rows which cannot be read.
std::string rejects_of(const RowSource& rows);

// First step: where vectors lie ("": the text is embedded). kBadInput if options of an encoder stand beside vectors.
Result<std::string> find_vectors(const LogSource& source);
// Second step: the encoder, if the text is embedded, and the rows. keep_texts: even if their vectors are given.
Result<std::unique_ptr<Log::State>> read_log_rows(Backend& backend, const LogSource& source,
                                                  const std::string& vectors_path, const Events& events);
// Third step: the vectors.
Status read_log_vectors(Log::State& log, const Events& events);

}  // namespace tracer
