#include "host/explain/words.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

namespace tracer {
namespace {

constexpr double kPriorWords = 1000;  // weight of the prior, in words
constexpr double kLeastZ = 1.96;

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || byte >= 0x80)
      word += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!word.empty())
      words.push_back(std::move(word)), word.clear();
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::vector<std::vector<DistinguishingWord>> distinguishing_words(const std::vector<std::string>& texts,
                                                                  const std::vector<int32_t>& group, int64_t groups) {
  std::unordered_map<std::string, int64_t> all;
  std::vector<std::map<std::string, int64_t>> inside(static_cast<size_t>(groups));
  std::vector<double> size(static_cast<size_t>(groups), 0);
  double total = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto g = static_cast<size_t>(group[i]);
    for (std::string& word : words_of(texts[i])) ++all[word], ++inside[g][std::move(word)], ++size[g], ++total;
  }
  std::vector<std::vector<DistinguishingWord>> out(static_cast<size_t>(groups));
  for (size_t g = 0; g < inside.size(); ++g) {
    for (const auto& [word, n] : inside[g]) {
      const auto everywhere = static_cast<double>(all[word]), here = static_cast<double>(n);
      const double prior = kPriorWords * everywhere / total;
      const auto log_odds = [&](double count, double words) {
        return std::log((count + prior) / (words + kPriorWords - count - prior));
      };
      if (everywhere == total) continue;  // one word alone: nothing to tell apart
      const double delta = log_odds(here, size[g]) - log_odds(everywhere - here, total - size[g]);
      const double z = delta / std::sqrt(1 / (here + prior) + 1 / (everywhere - here + prior));
      if (z > kLeastZ) out[g].push_back({word, z, n});
    }
    std::stable_sort(out[g].begin(), out[g].end(),
                     [](const DistinguishingWord& a, const DistinguishingWord& b) { return a.z > b.z; });
    if (out[g].size() > kMostWords) out[g].resize(kMostWords);
  }
  return out;
}

}  // namespace tracer
