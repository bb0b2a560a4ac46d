#include "host/job/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "host/io/text_hash.h"

namespace tracer::job {
namespace {

Result<io::UniqueFd> opened(const std::string& path, int flags) {
  int fd;
  do fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0666);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return io::errno_error(path, "cannot open for writing", errno);
  return io::UniqueFd(fd);
}

// The next n bytes, fewer at the end of the file.
Result<std::string> read_some(const std::string& path, int fd, int64_t at, int64_t n) {
  std::string bytes(static_cast<size_t>(n), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t r = ::pread(fd, bytes.data() + got, bytes.size() - got, at + static_cast<int64_t>(got));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return io::errno_error(path, "cannot read", errno);
    if (r == 0) break;
    got += static_cast<size_t>(r);
  }
  bytes.resize(got);
  return bytes;
}

Result<Checkpoint> confirmed_of(const std::string& path, int fd, const std::vector<Checkpoint>& checkpoints,
                                int64_t most_rows) {
  Checkpoint at;
  for (const Checkpoint& c : checkpoints) {
    if (c.bytes <= at.bytes || (most_rows >= 0 && c.rows > most_rows)) break;
    constexpr int64_t kLongest = int64_t{1} << 30;
    if (c.bytes - at.bytes > kLongest) break;
    TRACER_ASSIGN_OR_RETURN(auto bytes, read_some(path, fd, at.bytes, c.bytes - at.bytes));
    if (static_cast<int64_t>(bytes.size()) != c.bytes - at.bytes || io::xxh64(bytes, at.hash) != c.hash) break;
    at = c;
  }
  return at;
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path) {
  OutputFile out;
  out.path_ = path;
  TRACER_ASSIGN_OR_RETURN(out.fd_, opened(path, O_TRUNC));
  return out;
}

Result<Checkpoint> OutputFile::confirmed(const std::string& path, const std::vector<Checkpoint>& checkpoints,
                                         int64_t most_rows) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) return Checkpoint{};
  TRACER_ASSIGN_OR_RETURN(auto fd, io::open_for_reading(path));
  return confirmed_of(path, fd.get(), checkpoints, most_rows);
}

Result<OutputFile> OutputFile::resume(const std::string& path, const std::vector<Checkpoint>& checkpoints,
                                      int64_t most_rows) {
  OutputFile out;
  out.path_ = path;
  TRACER_ASSIGN_OR_RETURN(out.fd_, opened(path, 0));
  TRACER_ASSIGN_OR_RETURN(auto at, confirmed_of(path, out.fd_.get(), checkpoints, most_rows));
  out.at_ = at;
  if (::ftruncate(out.fd_.get(), out.at_.bytes) != 0) return io::errno_error(path, "cannot cut", errno);
  if (::lseek(out.fd_.get(), out.at_.bytes, SEEK_SET) < 0) return io::errno_error(path, "cannot write", errno);
  return out;
}

Result<std::optional<Checkpoint>> OutputFile::append(std::string_view line) {
  buffer_.append(line);
  buffer_ += '\n';
  ++buffered_;
  if (buffer_.size() < kStretch) return std::optional<Checkpoint>();
  return flush();
}

Result<std::optional<Checkpoint>> OutputFile::flush() {
  if (buffered_ == 0) return std::optional<Checkpoint>();
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t n = ::write(fd_.get(), buffer_.data() + done, buffer_.size() - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      const Status failed = io::errno_error(path_, "cannot write", errno);
      (void)::ftruncate(fd_.get(), at_.bytes);  // whole lines only
      return failed;
    }
  }
  at_.hash = io::xxh64(buffer_, at_.hash);
  at_.bytes += static_cast<int64_t>(buffer_.size());
  at_.rows += buffered_;
  buffer_.clear();
  buffered_ = 0;
  return std::optional<Checkpoint>(at_);
}

Status OutputFile::sync() { return ::fsync(fd_.get()) == 0 ? Status() : io::errno_error(path_, "cannot write", errno); }

}  // namespace tracer::job
