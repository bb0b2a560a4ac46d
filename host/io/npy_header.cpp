#include "host/io/npy_header.h"

#include <limits>

namespace tracer::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// A cursor over the dictionary's text. Every take skips blanks first.
struct Cursor {
  std::string_view s;

  void skip() {
    while (!s.empty() && (s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r')) s.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip();
    if (!s.starts_with(token)) return false;
    s.remove_prefix(token.size());
    return true;
  }
  bool take_string(std::string& out) {
    skip();
    if (s.empty() || (s[0] != '\'' && s[0] != '"')) return false;
    const size_t close = s.find(s[0], 1);
    if (close == std::string_view::npos) return false;
    out = s.substr(1, close - 1);
    s.remove_prefix(close + 1);
    return out.find('\\') == std::string::npos;
  }
  bool take_size(int64_t& out) {
    skip();
    size_t i = 0;
    out = 0;
    for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i) {
      const int digit = s[i] - '0';
      if (out > (std::numeric_limits<int64_t>::max() - digit) / 10) return false;
      out = out * 10 + digit;
    }
    s.remove_prefix(i);
    if (i > 0 && !s.empty() && s[0] == 'L') s.remove_prefix(1);  // Python 2 wrote its long integers so
    return i > 0;
  }
  bool take_shape(std::vector<int64_t>& out) {
    if (!take("(")) return false;
    out.clear();
    for (;;) {
      if (take(")")) return true;
      int64_t n;
      if (out.size() == 32 || !take_size(n)) return false;  // NumPy's own limit on dimensions
      out.push_back(n);
      if (!take(",")) return take(")");
    }
  }
};

}  // namespace

Result<NpyPreamble> parse_npy_preamble(std::string_view head) {
  if (!head.starts_with(kMagic)) return bad_input("not a .npy file (no NumPy magic at its start)");
  auto byte = [&](size_t i) { return static_cast<int64_t>(static_cast<unsigned char>(head[i])); };
  if (head.size() < 8) return bad_input("truncated in the .npy header");
  const int64_t major = byte(6), minor = byte(7);
  if (major < 1 || major > 3 || minor != 0) {
    return bad_input(".npy format version " + std::to_string(major) + "." + std::to_string(minor) +
                     "; expected 1.0, 2.0 or 3.0");
  }
  const size_t field = major == 1 ? 2 : 4;
  if (head.size() < 8 + field) return bad_input("truncated in the .npy header");
  NpyPreamble p;
  p.dictionary_at = static_cast<int64_t>(8 + field);
  for (size_t i = 0; i < field; ++i) p.dictionary_bytes |= byte(8 + i) << (8 * i);
  if (p.dictionary_bytes > kMaxNpyDictionaryBytes) {
    return bad_input("a .npy header of " + std::to_string(p.dictionary_bytes) + " bytes; expected at most " +
                     std::to_string(kMaxNpyDictionaryBytes));
  }
  return p;
}

Result<NpyHeader> parse_npy_dictionary(std::string_view text) {
  const Status malformed = bad_input("the .npy header is not a dictionary of descr, fortran_order and shape");
  NpyHeader h;
  bool has_descr = false, has_order = false, has_shape = false;
  Cursor at{text};
  if (!at.take("{")) return malformed;
  while (!at.take("}")) {
    std::string key;
    if (!at.take_string(key) || !at.take(":")) return malformed;
    bool* seen = key == "descr" ? &has_descr : key == "fortran_order" ? &has_order : &has_shape;
    if (*seen || (seen == &has_shape && key != "shape")) return malformed;
    *seen = true;
    if (seen == &has_descr) {
      if (at.take("[")) return bad_input("a structured dtype; expected <f2, <f4 or <f8");
      if (!at.take_string(h.descr) || h.descr.empty()) return malformed;
    } else if (seen == &has_order) {
      h.fortran_order = at.take("True");
      if (!h.fortran_order && !at.take("False")) return malformed;
    } else if (!at.take_shape(h.shape)) {
      return malformed;
    }
    if (!at.take(",")) {
      if (!at.take("}")) return malformed;
      break;
    }
  }
  at.skip();
  if (!at.s.empty() || !has_descr || !has_order || !has_shape) return malformed;
  return h;
}

std::string make_npy_header(std::string_view descr, int64_t rows, int64_t cols) {
  std::string dictionary = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" +
                           std::to_string(rows) + ", " + std::to_string(cols) + "), }";
  while ((10 + dictionary.size() + 1) % 64 != 0) dictionary += ' ';
  dictionary += '\n';
  std::string out(kMagic);
  out += '\x01';
  out += '\x00';
  out += static_cast<char>(dictionary.size() & 0xff);
  out += static_cast<char>(dictionary.size() >> 8);
  return out + dictionary;
}

}  // namespace tracer::io
