// Writing JSON by hand where a document object a line would be too slow.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

namespace tracer::io {

// The string as a JSON string with its quotes. Text must be valid UTF-8; control characters are escaped.
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

// The shortest decimal number that reads back as this one; v must be finite.
inline std::string json_number(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

}  // namespace tracer::io
