#include "host/cli/command.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

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
  if (!quiet) to_stderr(line);
}
void Console::warn(const std::string& line) const { to_stderr(coloured(*this, "33", "warning:") + " " + line); }
void Console::error(const std::string& line) const { to_stderr(coloured(*this, "31", "error:") + " " + line); }

bool Console::print(const std::string& text) const {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int Console::print_json(const Json& document, int code) const {
  if (print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n")) return code;
  error("cannot write to standard output");
  return kExitRuntime;
}

int fail(const Console& console, const Status& status) {
  if (status.code() == ErrorCode::kBrokenPipe) return kExitRuntime;  // nobody is left to read the message
  console.error(status.message());
  return status.code() == ErrorCode::kRefused ? kExitRefused : kExitRuntime;
}

void add_common(CLI::App& app, Common& common, bool computes) {
  app.add_flag("--json", common.console.json, "print one JSON document on stdout");
  app.add_flag("-q,--quiet", common.console.quiet, "no progress on stderr");
  app.add_flag("--no-color", common.console.no_color, "no colours (also the environment variable NO_COLOR)");
  if (!computes) return;
  app.add_option("--threads", common.threads, "threads; 0: all cores this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--device", common.device, "auto, cpu, cuda or cuda:N (also the environment variable TRACER_DEVICE)")
      ->capture_default_str();
}

Result<std::unique_ptr<Backend>> open_backend(const Common& common) {
  BackendOptions options;
  options.device = common.device;
  options.threads = common.threads;
  return make_backend(options);
}

}  // namespace tracer::cli
