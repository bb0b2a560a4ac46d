#include "host/io/label_words.h"

#include <cctype>

namespace tracer::io {
namespace {

// Bytes of letters beyond ASCII count as letters.
bool letter(unsigned char c) { return std::isalpha(c) != 0 || c >= 0x80; }

}  // namespace

std::string words_of_label(const std::string& label) {
  std::string words;
  bool any = false;
  for (size_t i = 0; i < label.size(); ++i) {
    const auto c = static_cast<unsigned char>(label[i]);
    if (!letter(c) && std::isdigit(c) == 0) {
      if (!words.empty() && words.back() != ' ') words += ' ';
      continue;
    }
    const bool begins = i > 0 && std::isupper(c) != 0 && std::islower(static_cast<unsigned char>(label[i - 1])) != 0;
    if (begins) words += ' ';
    words += static_cast<char>(c);
    any |= letter(c);
  }
  while (!words.empty() && words.back() == ' ') words.pop_back();
  return any ? words : "";
}

}  // namespace tracer::io
