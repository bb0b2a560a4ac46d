// The output of a job: a growing prefix of whole lines that can be taken up again. Every stretch that is written gives
// a checkpoint (rows, bytes, hash chained over the stretches); when a job goes on, only what the hashes confirm is
// kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/file.h"
#include "host/job/store.h"
#include "kernels/status.h"

namespace tracer::job {

class OutputFile {
 public:
  // Made or emptied.
  static Result<OutputFile> create(const std::string& path);
  // The longest prefix of the file that the checkpoints confirm and that holds at most `most_rows` rows (negative:
  // all); nothing of an absent file. Reads only.
  static Result<Checkpoint> confirmed(const std::string& path, const std::vector<Checkpoint>& checkpoints,
                                      int64_t most_rows);
  // Keeps that prefix; the rest is cut off. An absent file is made.
  static Result<OutputFile> resume(const std::string& path, const std::vector<Checkpoint>& checkpoints,
                                   int64_t most_rows);

  const Checkpoint& at() const { return at_; }  // of what is in the file, without the buffer
  int64_t rows() const { return at_.rows + buffered_; }
  // Buffered; a checkpoint comes back when a stretch (kStretch bytes) was written.
  Result<std::optional<Checkpoint>> append(std::string_view line);
  // Writes what is buffered; nothing when there is nothing.
  Result<std::optional<Checkpoint>> flush();
  // On the disk when it returns.
  Status sync();

 private:
  static constexpr size_t kStretch = size_t{1} << 20;
  std::string path_;
  io::UniqueFd fd_;
  Checkpoint at_;
  std::string buffer_;
  int64_t buffered_ = 0;
};

}  // namespace tracer::job
