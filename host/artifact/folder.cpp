#include "host/artifact/folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <vector>

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

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// The folder `path` as an existing one, after resolution: whether it can take part in an exchange.
Status check_exchangeable(const std::string& given, const std::string& path, const struct stat& info) {
  struct stat parent {
  }, here{};
  if (::stat(parent_of(path).c_str(), &parent) != 0) return io::errno_error(parent_of(path), "cannot read", errno);
  if (parent.st_dev != info.st_dev || same(parent, info))
    return bad_input(given + ": expected a folder that can be replaced, found a mount point");
  if (::stat(".", &here) == 0 && same(here, info))
    return bad_input(given + ": expected a folder that can be replaced, found the current one; name another");
  return {};
}

// "path.new-PID" of processes that are gone. Only what we could have written: plain files of these names.
void remove_stale(const std::string& path, const std::map<std::string, std::string_view>& files) {
  const std::string prefix = fs::path(path).filename().string() + ".new-";
  std::vector<fs::path> stale;
  std::error_code ec;
  for (fs::directory_iterator it(parent_of(path), ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    int pid = 0;
    const char* last = name.data() + name.size();
    if (std::from_chars(name.data() + prefix.size(), last, pid).ptr != last || pid <= 0) continue;
    if (::kill(pid, 0) == 0 || errno != ESRCH) continue;
    bool ours = it->symlink_status(ec).type() == fs::file_type::directory;
    std::error_code inner;
    for (fs::directory_iterator part(it->path(), inner), none; ours && !inner && part != none; part.increment(inner))
      ours = files.contains(part->path().filename().string()) && part->is_regular_file(inner);
    if (ours && !inner) stale.push_back(it->path());
  }
  for (const fs::path& folder : stale) fs::remove_all(folder, ec);
}

}  // namespace

Result<std::string> resolve_folder(const std::string& given) {
  if (given.empty()) return bad_input("expected the path of a folder, found an empty one");
  std::error_code ec;
  struct stat info {};
  if (::stat(given.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) return bad_input(given + ": expected a folder or nothing, found a file");
    const fs::path real = fs::canonical(given, ec);
    if (ec) return io::errno_error(given, "cannot resolve", ec.value());
    TRACER_RETURN_IF_ERROR(check_exchangeable(given, real.string(), info));
    if (::access(parent_of(real.string()).c_str(), W_OK | X_OK) != 0)
      return io::errno_error(parent_of(real.string()), "cannot write to the folder", errno);
    return real.string();
  }
  if (errno != ENOENT) return io::errno_error(given, "cannot create the folder", errno);
  std::string path = given;  // "dir/" and "dir" are the same folder
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (::lstat(path.c_str(), &info) == 0) return bad_input(given + ": expected a folder, found a link to nothing");
  const std::string name = fs::path(path).filename().string();
  const fs::path parent = fs::canonical(parent_of(path), ec);
  if (ec) return io::errno_error(parent_of(path), "cannot create a folder in it", ec.value());
  if (name == "." || name == "..") return bad_input(given + ": expected the name of a folder, found \"" + name + "\"");
  if (::access(parent.c_str(), W_OK | X_OK) != 0)
    return io::errno_error(parent.string(), "cannot write to the folder", errno);
  return (parent / name).string();
}

Status replace_folder(const std::string& given, const std::map<std::string, std::string_view>& files) {
  TRACER_ASSIGN_OR_RETURN(auto resolved, resolve_folder(given));
  const std::string& path = resolved;
  remove_stale(path, files);
  const std::string temporary = path + ".new-" + std::to_string(::getpid());
  std::error_code ec;
  fs::remove_all(temporary, ec);  // of a process that had our number and crashed
  if (!fs::create_directory(temporary, ec) || ec)
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
