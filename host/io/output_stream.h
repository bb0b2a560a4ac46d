// Lines to a file or to standard output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/io/file.h"
#include "kernels/status.h"

namespace tracer::io {

// A file, or for "-" standard output (which it never closes).
//
// A path is created or truncated and grows while it is written, so that it can be followed with tail -f. What is on the
// file is whole lines only: each flush ends at a line end, and when a write fails half-way (disk full) a regular file
// is cut back to its last whole line. A pipe cannot be cut back: the failed line may have been sent in part.
//
// Errors: kBrokenPipe when the reader went away (the program ignores SIGPIPE), else kIo. After an error every call
// returns that error and nothing more is written. Not thread-safe.
class OutputStream {
 public:
  static Result<OutputStream> open(const std::string& path);
  // Flushes, ignoring errors: call close() to learn of them.
  ~OutputStream();
  OutputStream(OutputStream&& o) noexcept;
  OutputStream& operator=(OutputStream&&) = delete;

  // Appends one line; `line` has no line feed, one is added. Buffered: 64 KiB are gathered a system call.
  Status write_line(std::string_view line);
  // Everything written so far reaches the operating system.
  Status flush();
  // Flush, then close (a regular file is not fsynced: route output can be made again).
  Status close();

  bool regular() const { return regular_; }  // a file that can be read again, not a pipe or a device

 private:
  OutputStream() = default;
  void cut_back(std::string_view written);
  std::string path_;
  UniqueFd fd_;
  bool regular_ = false;
  std::string buffer_;  // whole lines
  Status failed_;
};

}  // namespace tracer::io
