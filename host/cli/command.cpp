#include "host/cli/command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "host/cli/flags.h"
#include "host/cli/progress.h"
#include "host/cli/signals.h"
#include "host/io/file.h"

namespace tracer::cli {
namespace {

void to_stderr(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

std::string coloured(const Console& c, const char* code, const std::string& word) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = c.no_color || (no_color != nullptr && *no_color != '\0') || ::isatty(STDERR_FILENO) == 0;
  return plain ? word : std::string("\033[") + code + "m" + word + "\033[0m";
}

}  // namespace

void Console::note(const std::string& line) const {
  if (!quiet) to_stderr(shown(line));
}
void Console::note_lines(const std::string& text) const {
  if (!quiet) std::fputs(text.c_str(), stderr);
}
void Console::warn(const std::string& line) const { to_stderr(coloured(*this, "33", "warning:") + " " + shown(line)); }
void Console::error(const std::string& line) const { to_stderr(coloured(*this, "31", "error:") + " " + shown(line)); }

bool Console::print(const std::string& text) const {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

Status Console::write(const std::string& path, const std::string& text) const {
  if (path != "-") return io::write_file_atomic(path, text);
  return print(text) ? Status() : io::errno_error("standard output", "cannot write", errno);
}

int Console::print_json(const Json& document, int code) const {
  if (print(json_text(document))) return code;
  error("cannot write to standard output");
  return kExitRuntime;
}

Events events_of(const Console& console) {
  Events events;
  events.note = [&console](std::string_view line) { console.note(as_flags(line)); };
  events.warn = [&console](std::string_view line) { console.warn(as_flags(line)); };
  const auto lines = std::make_shared<std::optional<ProgressLine>>();
  events.progress = [&console, lines](const Progress& at) {
    if (!*lines) lines->emplace(console, std::string(at.doing));
    if (at.done) (*lines)->finish();
    if (at.done || at.broken)
      lines->reset();
    else if (at.rows > 0)
      (*lines)->show(at.rows, at.share);
  };
  events.stopped = [] { return signals_seen() > 0; };
  return events;
}

int fail(const Console& console, const Status& status) {
  if (status.code() == ErrorCode::kBrokenPipe) return kExitRuntime;  // nobody is left to read the message
  console.error(as_flags(status.marked_message()));
  if (!status.field().empty()) return kExitUsage;
  return status.code() == ErrorCode::kRefused ? kExitRefused : kExitRuntime;
}

int usage_error(const Console& console, const std::string& message) {
  console.error(message);
  return kExitUsage;
}

void add_common(Flags& app, Common& common, bool computes) {
  app.add_flag("--json", common.console.json, "print one JSON document on stdout");
  app.add_flag("-q,--quiet", common.console.quiet, "no progress on stderr");
  app.add_flag("--no-color", common.console.no_color, "no colours (also the environment variable NO_COLOR)");
  if (!computes) return;
  app.add_option("--threads", common.threads, "threads; 0: all cores this process may use")
      ->check(in_range(0, 4096))
      ->capture_default_str();
  app.add_option("--device", common.device, "auto, cpu, cuda or cuda:N (also the environment variable TRACER_DEVICE)")
      ->capture_default_str();
}

Result<Device> open_device(const Common& common) { return tracer::open_device({common.device, common.threads}); }

int print_result(const Console& console, const Document& document, int code) {
  if (console.print(console.json ? document.json : document.text)) return code;
  if (console.json) console.error("cannot write to standard output");
  return kExitRuntime;
}

}  // namespace tracer::cli
