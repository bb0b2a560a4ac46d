#include "host/cli/command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "host/cli/flags.h"
#include "host/io/file.h"

namespace tracer::cli {
namespace {

void to_stderr(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

std::string coloured(const Console& c, const char* code, const std::string& word) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = c.no_color || (no_color != nullptr && *no_color != '\0') || ::isatty(STDERR_FILENO) == 0;
  return plain ? word : std::string("\033[") + code + "m" + word + "\033[0m";
}

// Length of the UTF-8 character at the start of text and its code point; 0 where there is none.
size_t decode(std::string_view text, char32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? first : first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  return length;
}

// Moves the cursor, turns writing round or breaks the line, as some terminals take it.
bool misleads(char32_t c) {
  return (c >= 0x80 && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out;
  char escaped[16];
  while (!text.empty()) {
    char32_t code = 0;
    const size_t length = decode(text, code);
    if (length == 0 || code < 0x20 || code == 0x7f) {
      std::snprintf(escaped, sizeof escaped, "\\x%02X", static_cast<unsigned char>(text[0]));
      out += escaped;
    } else if (misleads(code)) {
      std::snprintf(escaped, sizeof escaped, "<U+%04X>", static_cast<unsigned>(code));
      out += escaped;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string counted(int64_t n, const std::string& noun) {
  const auto ends = [&](const std::string& with) {
    return noun.size() >= with.size() && noun.compare(noun.size() - with.size(), with.size(), with) == 0;
  };
  const std::string number = std::to_string(n) + " ";
  if (n == 1) return number + noun;
  if (ends("try")) return number + noun.substr(0, noun.size() - 1) + "ies";
  return number + noun + (ends("ch") ? "es" : "s");
}

std::string json_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

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

int fail(const Console& console, const Status& status) {
  if (status.code() == ErrorCode::kBrokenPipe) return kExitRuntime;  // nobody is left to read the message
  console.error(status.message());
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

Result<std::unique_ptr<Backend>> open_backend(const Common& common) {
  BackendOptions options;
  options.device = common.device;
  options.threads = common.threads;
  return make_backend(options);
}

}  // namespace tracer::cli
