// Which texts of a group are new, so that equal ones are embedded once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tracer {

struct DistinctTexts {
  std::vector<int64_t> first;  // of each distinct text its first place, ascending
  std::vector<int64_t> of;     // of each text its place in `first`
};

inline DistinctTexts distinct_texts(std::span<const std::string> texts) {
  DistinctTexts out;
  std::unordered_map<std::string_view, int64_t> seen;
  seen.reserve(texts.size());
  for (const std::string& text : texts) {
    const auto [at, is_new] = seen.try_emplace(text, static_cast<int64_t>(out.first.size()));
    if (is_new) out.first.push_back(static_cast<int64_t>(out.of.size()));
    out.of.push_back(at->second);
  }
  return out;
}

}  // namespace tracer
