#include "host/io/file_uses.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace tracer {
namespace {

namespace fs = std::filesystem;

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Where a path leads, or would once created: links followed, also those to nothing yet.
fs::path resolved(fs::path path) {
  std::error_code ec;
  for (int i = 0; i < 8 && fs::is_symlink(path, ec) && !fs::exists(path, ec); ++i)
    path = path.parent_path() / fs::read_symlink(path, ec);
  const fs::path whole = fs::weakly_canonical(fs::absolute(path, ec), ec);
  return ec ? path : whole;
}

// The option that names the file; of one that goes with the output, that.
std::string field_of(const FileUse& use) {
  const bool marked = !use.name.empty() && use.name.front() == kOptionBegins && use.name.back() == kOptionEnds;
  return marked ? use.name.substr(1, use.name.size() - 2) : "output";
}

// A file, by identity where it exists.
struct Named {
  const FileUse* use = nullptr;
  fs::path path;
  bool standard = false;
  bool exists = false;
  struct stat info {};

  Named(const FileUse& u, int standard_fd) : use(&u), standard(u.path == "-") {
    if (standard) {
      exists = ::fstat(standard_fd, &info) == 0;
    } else {
      path = resolved(u.path);
      exists = ::stat(u.path.c_str(), &info) == 0;
    }
  }
  bool holds_nothing() const { return exists && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode); }
  bool is(const Named& other) const {
    if (holds_nothing() || other.holds_nothing()) return false;
    if (exists && other.exists) return same(info, other.info);
    return !exists && !other.exists && !standard && !other.standard && path == other.path;
  }
  bool below(const fs::path& folder) const {
    if (standard || holds_nothing()) return false;
    for (fs::path p = path; p.has_relative_path(); p = p.parent_path())
      if (p == folder) return true;
    return false;
  }
};

}  // namespace

Status check_outputs(const std::vector<FileUse>& outputs, const std::vector<FileUse>& inputs,
                     const std::string& policy_folder) {
  std::vector<FileUse> protected_files = inputs;
  std::error_code ec;
  for (fs::directory_iterator it(policy_folder, ec), end; !ec && it != end; it.increment(ec))
    protected_files.push_back({"a file of the policy", it->path().string()});
  const fs::path folder = resolved(policy_folder);
  std::vector<Named> written;
  for (const FileUse& output : outputs) {
    if (output.path.empty()) continue;
    const Named out(output, STDOUT_FILENO);
    const std::string start = output.name + " " + output.path + ": ";
    if (!policy_folder.empty() && out.below(folder))
      return bad_option(field_of(output), start + "lies in the policy's folder; name another file");
    for (const FileUse& input : protected_files)
      if (!input.path.empty() && out.is(Named(input, STDIN_FILENO)))
        return bad_option(field_of(output),
                          start + "is the same file as " + input.name + " " + input.path + "; name another file");
    for (const Named& other : written)
      if (out.is(other))
        return bad_option(field_of(output), start + "is the same file as " + other.use->name + " " + other.use->path +
                                                "); name another file");
    written.push_back(out);
  }
  return {};
}

bool makes_regular_file(const std::string& path) {
  struct stat info {};
  return !path.empty() && path != "-" && (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode));
}

}  // namespace tracer
