// BERT's normalisation and splitting of a text into words, as tokenizers' BertNormalizer and BertPreTokenizer do it,
// one word at a time: clean_text, spaces around CJK, strip_accents (NFD without nonspacing marks), lowercase, then cuts
// at whitespace and around each punctuation character. A text is read once, from left to right, and only as far as the
// words asked for. ASCII takes a path of its own through a table.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/bert_unicode.h"

namespace tracer::text {

struct BertOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

// What is fixed for a tokenizer; shared by the readers of many texts, on any thread.
class BertRules {
 public:
  // A reader stops before each byte that is in `stops`.
  BertRules(const BertOptions& options, std::string_view stops);

 private:
  friend class BertWords;
  enum Kind : uint8_t { kWordByte, kSpace, kPunctuation, kRemoved, kBeyondAscii, kStopBit = 0x80 };

  BertOptions options_;
  std::array<uint8_t, 256> kind_;  // a Kind, with kStopBit or without
  std::array<char, 128> lower_;
};

// Reads one text. The text and the rules must outlive it.
class BertWords {
 public:
  enum class Event {
    kWord,  // word() holds the next word, 1 character or more
    kStop,  // position() is at one of the stop bytes, where a character starts; the word before it may be unfinished
    kEnd,
  };

  // Words of more than max_characters are counted, not kept.
  BertWords(const BertRules& rules, std::string_view text, int64_t max_characters)
      : rules_(rules), text_(text), end_(text.size()), max_characters_(max_characters) {}

  Event next();

  // Valid until next(); word() only where characters() <= max_characters.
  std::string_view word() const { return word_; }
  int64_t characters() const { return characters_; }

  size_t position() const { return at_; }
  // After kStop: the text goes on through here; no stop before `until`.
  void pass(size_t until) { no_stop_before_ = until; }
  // After kStop: the text ends here. After the kEnd that follows, resume() starts a text of its own at `at`.
  void cut() { end_ = at_; }
  void resume(size_t at) {
    at_ = at;
    end_ = text_.size();
  }

 private:
  struct Mark {
    int combining_class;
    char32_t character;
  };

  void add_ascii(size_t from, size_t to);
  void add(char32_t c);
  void read_beyond_ascii();
  void decomposed(char32_t c);
  void lowered(char32_t c);
  void release_marks();
  bool drain();

  const BertRules& rules_;
  std::string_view text_;
  size_t at_ = 0, end_;
  size_t no_stop_before_ = 0;
  int64_t max_characters_;

  std::string word_;
  int64_t characters_ = 0;
  bool handed_out_ = false;  // word_ is the caller's until next()

  std::vector<Mark> marks_;      // since the last starter; in order of class they become ready
  std::vector<char32_t> ready_;  // normalised, not yet in a word
  size_t ready_at_ = 0;
};

}  // namespace tracer::text
