#include "host/io/excerpt.h"

namespace tracer {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

size_t written_bytes(char c) {
  const auto u = static_cast<unsigned char>(c);
  if (u < 0x20 || c == '<' || c == '>' || c == '&') return 6;  // \u003c
  return c == '"' || c == '\\' ? 2 : 1;
}

}  // namespace

std::string excerpt(std::string_view text, size_t most) {
  constexpr std::string_view kMore = "…";
  size_t written = 0, fits = 0;  // fits: where a character ends that leaves room for kMore
  for (size_t i = 0; i < text.size(); ++i) {
    if (!continues(text[i]) && written + kMore.size() <= most) fits = i;
    // U+2028 and U+2029, which are escaped too, start as few other characters do: all of them count double.
    written += text[i] == '\xe2' ? 4 : written_bytes(text[i]);
    if (written > most) return std::string(text.substr(0, fits)) + std::string(kMore);
  }
  return std::string(text);
}

void shorten_strings(nlohmann::ordered_json& document, size_t most) {
  if (document.is_string()) {
    const auto& text = document.get_ref<const std::string&>();
    if (text.size() > most / 6) document = excerpt(text, most);
  } else if (document.is_structured()) {
    for (auto& part : document) shorten_strings(part, most);
  }
}

}  // namespace tracer
