// Words that tell some texts from the others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tracer {

inline constexpr size_t kMostWords = 8;

// Runs of ASCII letters (lower-cased), digits and bytes beyond ASCII.
std::vector<std::string> words_of(std::string_view text);

struct DistinguishingWord {
  std::string word;
  double z = 0;
  int64_t n = 0;  // occurrences inside
};

// For each group (group[i] in [0, groups)) the words more frequent inside than outside: log-odds ratio with an
// informative Dirichlet prior, which is the frequency of each word in all texts (B. Monroe, M. Colaresi, K. Quinn,
// "Fightin' Words", 2008), divided by its standard error; those with z > 1.96, the greatest first, at most kMostWords.
std::vector<std::vector<DistinguishingWord>> distinguishing_words(const std::vector<std::string>& texts,
                                                                  const std::vector<int32_t>& group, int64_t groups);

}  // namespace tracer
