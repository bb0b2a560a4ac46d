#include "host/sweep/state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "host/sweep/run_json.h"

namespace tracer {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "tracer-sweep";
constexpr int kVersion = 1;

Status write_line(int fd, const std::string& path, const std::string& line) {
  std::string_view bytes = line;
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io::errno_error(path, "cannot write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  // Pipes and devices cannot be synced, and hold no state.
  if (::fdatasync(fd) != 0 && errno != EINVAL) return io::errno_error(path, "cannot sync", errno);
  return {};
}

// Text of the config, for a message.
std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Status check_header(const std::string& path, const Json& header, const Json& config) {
  if (!header.is_object() || header.value("format", Json()) != kFormat)
    return bad_input(path + ": is not the state of a sweep; name another file");
  if (header.value("version", Json()) != kVersion)
    return bad_input(path + ": expected a state of version " + std::to_string(kVersion) + ", found " +
                     header.value("version", Json()).dump());
  const Json found = header.value("config", Json::object());
  for (const auto& [key, value] : config.items())
    if (const Json other = found.value(key, Json()); other != value)
      return bad_input(path + ": belongs to another sweep: " + key + " is " + text_of(other) + " there and " +
                       text_of(value) + " here; name another file");
  return {};
}

}  // namespace

Result<SweepState> SweepState::open(const std::string& path, const Json& config) {
  SweepState state;
  state.path_ = path;
  state.fd_ = io::UniqueFd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  if (!state.fd_.valid()) return io::errno_error(path, "cannot open", errno);
  if (::flock(state.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return io_error(path + ": in use by another sweep");
    return io::errno_error(path, "cannot lock", errno);
  }
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path));
  const std::string header = Json{{"format", kFormat}, {"version", kVersion}, {"config", config}}.dump() + "\n";
  const size_t end = text.rfind('\n') + 1;  // of the last whole line; 0 where there is none
  if (end == 0 && !header.starts_with(text))
    return bad_input(path + ": is not the state of a sweep; name another file");
  std::string_view rest(text);
  rest = rest.substr(0, end);
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t length = rest.find('\n');
    const Json json = Json::parse(rest.substr(0, length), nullptr, /*allow_exceptions=*/false);
    rest.remove_prefix(length + 1);
    const std::string where = path + ": line " + std::to_string(line);
    if (line == 1) {
      TRACER_RETURN_IF_ERROR(check_header(path, json, config));
      continue;
    }
    TRACER_ASSIGN_OR_RETURN(auto run, parse_run(json, where));
    state.runs_.push_back(std::move(run));
  }
  if (end < text.size() && ::ftruncate(state.fd_.get(), static_cast<off_t>(end)) != 0)
    return io::errno_error(path, "cannot cut off an unfinished line", errno);
  if (end == 0) TRACER_RETURN_IF_ERROR(write_line(state.fd_.get(), path, header));
  return state;
}

Status SweepState::append(const SweepRun& run) {
  TRACER_RETURN_IF_ERROR(write_line(fd_.get(), path_, run_json(run).dump() + "\n"));
  runs_.push_back(run);
  return {};
}

}  // namespace tracer
