#include "host/io/output_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace tracer::io {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 16;

}  // namespace

Result<OutputStream> OutputStream::open(const std::string& path) {
  OutputStream out;
  out.path_ = path == "-" ? "standard output" : path;
  if (path == "-") {
    out.fd_ = UniqueFd(STDOUT_FILENO, /*owned=*/false);
  } else {
    int fd;
    do fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return errno_error(path, "cannot open for writing", errno);
    out.fd_ = UniqueFd(fd);
  }
  struct stat st;
  if (::fstat(out.fd_.get(), &st) != 0) return errno_error(out.path_, "cannot write", errno);
  out.regular_ = S_ISREG(st.st_mode);
  return out;
}

OutputStream::OutputStream(OutputStream&& o) noexcept
    : path_(std::move(o.path_)),
      fd_(std::move(o.fd_)),
      regular_(o.regular_),
      buffer_(std::move(o.buffer_)),
      failed_(std::move(o.failed_)) {
  o.buffer_.clear();
}

OutputStream::~OutputStream() {
  if (fd_.valid()) (void)flush();
}

Status OutputStream::write_line(std::string_view line) {
  if (!failed_.ok()) return failed_;
  buffer_.append(line);
  buffer_ += '\n';
  return buffer_.size() >= kFlushBytes ? flush() : Status();
}

Status OutputStream::flush() {
  if (!failed_.ok()) return failed_;
  size_t written = 0;
  while (written < buffer_.size()) {
    ssize_t n = ::write(fd_.get(), buffer_.data() + written, buffer_.size() - written);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {  // someone made our standard output non-blocking
      struct pollfd ready = {fd_.get(), POLLOUT, 0};
      (void)::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      failed_ = errno_error(path_, "cannot write", errno);
      break;
    }
  }
  if (!failed_.ok()) cut_back(std::string_view(buffer_).substr(0, written));
  buffer_.clear();
  return failed_;
}

void OutputStream::cut_back(std::string_view written) {
  size_t last = written.rfind('\n');
  const std::string_view whole = written.substr(0, last == std::string_view::npos ? 0 : last + 1);
  const auto half = static_cast<off_t>(written.size() - whole.size());
  if (!regular_ || half == 0) return;
  const off_t end = ::lseek(fd_.get(), 0, SEEK_CUR);
  struct stat st;
  // Only our own bytes at the very end: with `>>` another process may have appended since.
  if (end < half || ::fstat(fd_.get(), &st) != 0 || st.st_size != end) return;
  if (::ftruncate(fd_.get(), end - half) == 0) (void)::lseek(fd_.get(), end - half, SEEK_SET);
}

Status OutputStream::close() {
  Status status = flush();
  Status closed = fd_.close(path_);
  if (status.ok() && !closed.ok()) failed_ = status = closed;
  return status;
}

}  // namespace tracer::io
