#include "host/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>

namespace tracer::io {
namespace {

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A link is written through, not replaced: the file it points to, or `path` itself.
std::string follow_link(const std::string& path) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0 || !S_ISLNK(st.st_mode)) return path;
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? real.get() : path;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& o) noexcept {
  if (this != &o) {
    reset();
    fd_ = o.fd_;
    owned_ = o.owned_;
    o.fd_ = -1;
  }
  return *this;
}

void UniqueFd::reset() {
  if (fd_ >= 0 && owned_) ::close(fd_);
  fd_ = -1;
}

Status UniqueFd::close(const std::string& path) {
  int fd = fd_;
  fd_ = -1;
  // After EINTR the descriptor is gone on Linux: closing again could close another thread's file.
  if (fd >= 0 && owned_ && ::close(fd) != 0 && errno != EINTR) return errno_error(path, "cannot close", errno);
  return {};
}

Status errno_error(const std::string& path, std::string_view doing, int error) {
  std::string message = path + ": " + std::string(doing) + ": " + std::generic_category().message(error);
  return {error == EPIPE ? ErrorCode::kBrokenPipe : ErrorCode::kIo, std::move(message)};
}

Result<UniqueFd> open_for_reading(const std::string& path) {
  int fd;
  do fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno_error(path, "cannot open", errno);
  UniqueFd owned(fd);
  struct stat st;
  if (::fstat(fd, &st) != 0) return errno_error(path, "cannot stat", errno);
  if (S_ISDIR(st.st_mode)) return errno_error(path, "cannot read", EISDIR);
  return owned;
}

Result<std::string> read_file(const std::string& path, int64_t max_bytes) {
  Result<UniqueFd> fd = open_for_reading(path);
  if (!fd.ok()) return fd.status();
  const Status too_large = bad_input(path + ": larger than " + std::to_string(max_bytes) + " bytes");
  struct stat st;
  std::string out;
  if (::fstat(fd->get(), &st) == 0 && S_ISREG(st.st_mode)) {
    if (st.st_size > max_bytes) return too_large;
    out.reserve(static_cast<size_t>(st.st_size));
  }
  char chunk[1 << 16];
  for (;;) {
    ssize_t n = ::read(fd->get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path, "cannot read", errno);
    if (n == 0) return out;
    if (static_cast<int64_t>(out.size()) + n > max_bytes) return too_large;
    out.append(chunk, static_cast<size_t>(n));
  }
}

Status sync_folder(const std::string& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(folder, "cannot open the folder", errno);
  // Some file systems cannot sync a folder and say EINVAL; there is nothing more to be done on them.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return errno_error(folder, "cannot sync the folder", errno);
  return {};
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  AtomicFile file;
  file.path_ = follow_link(path);
  struct stat st;
  const bool exists = ::stat(file.path_.c_str(), &st) == 0;
  // Renaming over a device (/dev/null, /dev/stdout) would replace it.
  if (exists && !S_ISREG(st.st_mode)) return io_error(path + ": cannot replace: not a regular file");
  for (;;) {
    std::string name = file.path_ + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && (errno == EEXIST || errno == EINTR)) continue;
    if (fd < 0) return errno_error(path, "cannot create", errno);
    file.fd_ = UniqueFd(fd);
    file.temporary_ = std::move(name);
    break;
  }
  if (exists) (void)::fchmod(file.fd_.get(), st.st_mode & 07777);  // best effort: a foreign owner's file stays ours
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& o) noexcept
    : path_(std::move(o.path_)), temporary_(std::move(o.temporary_)), fd_(std::move(o.fd_)) {
  o.temporary_.clear();
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path_, "cannot write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status AtomicFile::write_at(int64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path_, "cannot write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return {};
}

Status AtomicFile::commit() {
  if (::fsync(fd_.get()) != 0) return errno_error(path_, "cannot sync", errno);
  TRACER_RETURN_IF_ERROR(fd_.close(path_));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return errno_error(path_, "cannot rename into place", errno);
  temporary_.clear();
  return sync_folder(folder_of(path_));
}

Status write_file_atomic(const std::string& path, std::string_view bytes) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok()) return file.status();
  TRACER_RETURN_IF_ERROR(file->write(bytes));
  return file->commit();
}

}  // namespace tracer::io
