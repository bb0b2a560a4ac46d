#include "host/io/plain_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "kernels/status.h"

namespace tracer {
namespace {

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

std::string as_flags(std::string_view marked) {
  return spell_options(marked, [](std::string_view name) {
    if (name == "output") return std::string("-o");
    std::string flag = "--" + std::string(name);
    std::replace(flag.begin(), flag.end(), '_', '-');
    return flag;
  });
}

std::string number(double v) {
  char text[64];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

int64_t duration_ms(std::string_view text) {
  if (text.empty()) return -1;
  double total = 0;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !(value >= 0) || std::isinf(value)) return -1;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    double unit = 1000;
    size_t length = 1;
    if (text.empty()) {
      length = 0;
    } else if (text.substr(0, 2) == "ms") {
      unit = 1, length = 2;
    } else if (text[0] == 'm') {
      unit = 60'000;
    } else if (text[0] == 'h') {
      unit = 3'600'000;
    } else if (text[0] == 'd') {
      unit = 86'400'000;
    } else if (text[0] != 's') {
      return -1;
    }
    text.remove_prefix(length);
    total += value * unit;
  }
  return static_cast<int64_t>(std::ceil(std::min(total, 86'400'000.0)));
}

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  char text[48];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(s / 3600),
                  static_cast<long long>(s / 60 % 60));
  else if (s >= 60)
    std::snprintf(text, sizeof text, "%lld min %02lld s", static_cast<long long>(s / 60),
                  static_cast<long long>(s % 60));
  else
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(s));
  return text;
}

}  // namespace tracer
