// What Hugging Face's tokenizers 0.23.3 holds to be true of each code point in BertNormalizer, BertPreTokenizer and
// AddedToken. Its crates carry tables of five Unicode versions (bert_unicode.cpp), so that no one version of Unicode
// gives its answers; utf8proc does, once corrected. Thread-safe; each call costs a few table look-ups. Characters are
// code points that are no surrogates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tracer::text {

// Longest decomposition of one code point.
inline constexpr size_t kMaxDecomposition = 8;

bool is_whitespace(char32_t c);
// clean_text removes these; tab, line feed and carriage return, which it turns to spaces, are not among them.
bool is_cleaned_away(char32_t c);
bool is_cjk(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_punctuation(char32_t c);
// \w of the regex crate: letters, marks, digits, connectors and joiners.
bool is_word_character(char32_t c);

// Canonical combining class, and full canonical decomposition (NFD); the latter returns how many it wrote, 1 or more.
int combining_class(char32_t c);
size_t decompose(char32_t c, char32_t (&out)[kMaxDecomposition]);

// Lower case of one character, without context; returns how many it wrote, 1 or 2.
size_t lowercase(char32_t c, char32_t (&out)[2]);

}  // namespace tracer::text
