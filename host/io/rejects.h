// Bad rows: counted, the first kept for messages, all written to a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/io/output_stream.h"
#include "host/io/trace_reader.h"
#include "kernels/status.h"

namespace tracer::io {

class Rejects {
 public:
  // path: where rows go as {"line":N,"error":"..."}, created (or truncated) at the first one; "": nowhere. max_ratio:
  // bad rows over data lines above which reading should stop.
  Rejects(std::string source, std::string path, double max_ratio)
      : source_(std::move(source)), path_(std::move(path)), max_ratio_(max_ratio) {}

  // kBadInput when path is the source itself; kIo when it cannot be written.
  Status add(const BadRow& row);
  Status close() { return out_ ? out_->close() : Status(); }

  // Early on, only a ratio that no ordinary file could still mend: bad rows may come in a clump at its head.
  bool clearly_above(int64_t positions) const;
  bool above(int64_t positions) const;
  // The error that names the file, the counts, the first bad line and its reason.
  Status too_many(int64_t positions, bool early) const;

  int64_t count() const { return count_; }
  const std::string& first() const { return first_; }  // "line 7: no label (...)", "" when there is none
  const std::string& path() const { return path_; }

 private:
  Status open();

  std::string source_, path_;
  double max_ratio_;
  std::optional<OutputStream> out_;
  int64_t count_ = 0;
  std::string first_;
};

}  // namespace tracer::io
