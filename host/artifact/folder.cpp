#include "host/artifact/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "host/io/file.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;

// Removes the folder unless released.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

 private:
  std::string path_;
};

Status write_synced(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return io::errno_error(path, "cannot create", errno);
  io::UniqueFd file(fd);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io::errno_error(path, "cannot write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return io::errno_error(path, "cannot sync", errno);
  return file.close(path);
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

Status replace_folder(const std::string& given, const std::map<std::string, std::string_view>& files) {
  // "dir/" and "dir" are the same folder.
  std::string path = given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::string temporary = path + ".new-" + std::to_string(::getpid());
  std::error_code ec;
  fs::remove_all(temporary, ec);  // of a process that had our number and crashed
  if (!fs::create_directories(temporary, ec) || ec)
    return io::errno_error(temporary, "cannot create the folder", ec ? ec.value() : EEXIST);
  const TemporaryFolder cleanup(temporary);
  for (const auto& [name, bytes] : files) TRACER_RETURN_IF_ERROR(write_synced(temporary + "/" + name, bytes));
  TRACER_RETURN_IF_ERROR(io::sync_folder(temporary));

  if (::access(path.c_str(), F_OK) != 0) {
    if (::rename(temporary.c_str(), path.c_str()) != 0) return io::errno_error(path, "cannot rename into place", errno);
    return io::sync_folder(parent_of(path));
  }
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0)
    return io::sync_folder(parent_of(path));  // the old folder now bears the temporary name
  if (errno != EINVAL && errno != ENOSYS) return io::errno_error(path, "cannot exchange", errno);
  const std::string old = path + ".old-" + std::to_string(::getpid());
  if (::rename(path.c_str(), old.c_str()) != 0) return io::errno_error(path, "cannot rename away", errno);
  const TemporaryFolder cleanup_old(old);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    if (::rename(old.c_str(), path.c_str()) != 0) return io::errno_error(old, "cannot restore", errno);
    return io::errno_error(path, "cannot rename into place", error);
  }
  return io::sync_folder(parent_of(path));
}

}  // namespace tracer
