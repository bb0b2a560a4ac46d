// Whole files. Every error names the path and says what the operating system said.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer::io {

// An owned file descriptor. Move-only; closes on destruction.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd, bool owned = true) : fd_(fd), owned_(owned) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& o) noexcept : fd_(o.fd_), owned_(o.owned_) { o.fd_ = -1; }
  UniqueFd& operator=(UniqueFd&& o) noexcept;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset();
  // Closes and reports what close() said (some file systems report a full disk only here).
  Status close(const std::string& path);

 private:
  int fd_ = -1;
  bool owned_ = true;
};

// kIo: "PATH: DOING: strerror" ("PATH: cannot read: Is a directory").
Status errno_error(const std::string& path, std::string_view doing, int error);

// Opens for reading, close-on-exec. kIo when absent, unreadable or a directory. "-" is not special here.
Result<UniqueFd> open_for_reading(const std::string& path);

// The whole file as bytes. kIo on failure; kBadInput when it holds more than max_bytes.
Result<std::string> read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 31);

// Makes a completed rename, or the files just created in `folder`, survive a power cut.
Status sync_folder(const std::string& folder);

// A file that appears complete or not at all: written as a temporary in the same folder, then fsync, rename, fsync of
// the folder. Without commit() the destructor removes the temporary and PATH is untouched. An existing PATH keeps its
// permission bits; a new one gets 0666 & ~umask. Not thread-safe.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& o) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  Status write(std::string_view bytes);
  Status write_at(int64_t offset, std::string_view bytes);  // over bytes already written
  Status commit();

 private:
  AtomicFile() = default;
  std::string path_;
  std::string temporary_;  // empty once committed or moved from
  UniqueFd fd_;
};

Status write_file_atomic(const std::string& path, std::string_view bytes);

}  // namespace tracer::io
