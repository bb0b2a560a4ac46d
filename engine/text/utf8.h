// UTF-8, one character at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tracer::text {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Decoded {
  char32_t character;
  size_t bytes;  // >= 1
};

// The character at text[at], at < text.size(). Ill-formed bytes become U+FFFD, one for each maximal subpart (The
// Unicode Standard 15, section 3.9, "U+FFFD Substitution of Maximal Subparts"): what Python's errors="replace" gives.
inline Decoded decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF.
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t character = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {kReplacement, i};
    character = character << 6 | (byte(at + i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {character, length};
}

// The character that ends at text[end - 1], end > 0; U+FFFD where the bytes before end are ill-formed.
inline char32_t decode_utf8_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  const Decoded decoded = decode_utf8(text.substr(0, end), at);
  return decoded.bytes == end - at ? decoded.character : kReplacement;
}

inline bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Decoded decoded = decode_utf8(text, at);
    if (decoded.character == kReplacement && text.substr(at, decoded.bytes) != "\xEF\xBF\xBD") return false;
    at += decoded.bytes;
  }
  return true;
}

inline void append_utf8(std::string& to, char32_t c) {
  const auto put = [&](char32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

}  // namespace tracer::text
