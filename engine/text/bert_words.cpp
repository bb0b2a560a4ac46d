#include "engine/text/bert_words.h"

#include <algorithm>

#include "engine/text/utf8.h"

namespace tracer::text {

BertRules::BertRules(const BertOptions& options, std::string_view stops) : options_(options) {
  kind_.fill(kBeyondAscii);
  for (uint8_t byte = 0; byte < 0x80; ++byte) {
    const bool upper = byte >= 'A' && byte <= 'Z';
    lower_[byte] = static_cast<char>(options.lowercase && upper ? byte + ('a' - 'A') : byte);
    if (options.clean_text && is_cleaned_away(byte)) {
      kind_[byte] = kRemoved;
    } else if (is_whitespace(byte)) {
      kind_[byte] = kSpace;
    } else {
      kind_[byte] = is_punctuation(byte) ? kPunctuation : kWordByte;
    }
  }
  for (char stop : stops) kind_[static_cast<uint8_t>(stop)] |= kStopBit;
}

BertWords::Event BertWords::next() {
  if (handed_out_) {
    handed_out_ = false;
    word_.clear();
    characters_ = 0;
  }
  const auto hand_out = [&] {
    handed_out_ = true;
    return Event::kWord;
  };
  for (;;) {
    if (ready_at_ < ready_.size() && drain()) return hand_out();
    if (at_ == end_) {
      if (!marks_.empty()) {
        release_marks();
        continue;
      }
      return characters_ > 0 ? hand_out() : Event::kEnd;
    }
    const uint8_t byte = static_cast<uint8_t>(text_[at_]);
    uint8_t kind = rules_.kind_[byte];
    if (kind & BertRules::kStopBit) {
      if (at_ >= no_stop_before_) return Event::kStop;
      kind &= static_cast<uint8_t>(~BertRules::kStopBit);
    }
    if (kind == BertRules::kBeyondAscii) {
      read_beyond_ascii();
      continue;
    }
    if (kind == BertRules::kRemoved) {
      ++at_;
      continue;
    }
    if (!marks_.empty()) {  // ASCII has combining class 0
      release_marks();
      continue;
    }
    if (kind == BertRules::kWordByte) {
      size_t to = at_ + 1;
      while (to < end_ && rules_.kind_[static_cast<uint8_t>(text_[to])] == BertRules::kWordByte) ++to;
      add_ascii(at_, to);
      at_ = to;
      continue;
    }
    // A space or a punctuation mark ends the word; the mark is read again to be a word itself.
    if (characters_ > 0) return hand_out();
    ++at_;
    if (kind == BertRules::kPunctuation) {
      add(byte);
      return hand_out();
    }
  }
}

void BertWords::add_ascii(size_t from, size_t to) {
  characters_ += static_cast<int64_t>(to - from);
  if (characters_ > max_characters_) return;
  const size_t size = word_.size();
  word_.resize(size + (to - from));
  char* out = word_.data() + size;
  for (size_t i = from; i < to; ++i) *out++ = rules_.lower_[static_cast<uint8_t>(text_[i])];
}

void BertWords::add(char32_t c) {
  if (++characters_ <= max_characters_) append_utf8(word_, c);
}

// Moves what is ready into the word; true once the word is complete.
bool BertWords::drain() {
  while (ready_at_ < ready_.size()) {
    const char32_t c = ready_[ready_at_];
    const bool space = is_whitespace(c), mark = !space && is_punctuation(c);
    if ((space || mark) && characters_ > 0) return true;
    ++ready_at_;
    if (space) continue;
    add(c);
    if (mark) return true;
  }
  ready_.clear();
  ready_at_ = 0;
  return false;
}

void BertWords::read_beyond_ascii() {
  const Decoded decoded = decode_utf8(text_.substr(0, end_), at_);
  at_ += decoded.bytes;
  char32_t c = decoded.character;
  if (rules_.options_.clean_text) {
    if (is_cleaned_away(c)) return;
    if (is_whitespace(c)) c = ' ';
  }
  const bool alone = rules_.options_.handle_chinese_chars && is_cjk(c);
  if (alone) decomposed(' ');
  if (!rules_.options_.strip_accents) {
    lowered(c);
  } else {
    char32_t parts[kMaxDecomposition];
    const size_t count = decompose(c, parts);
    for (size_t i = 0; i < count; ++i) decomposed(parts[i]);
  }
  if (alone) decomposed(' ');
}

// Canonical ordering: marks since the last starter come in order of class, stably. Dropping nonspacing marks before the
// sort gives what dropping them after it would; those of class 0 are starters all the same.
void BertWords::decomposed(char32_t c) {
  const int is = combining_class(c);
  if (is == 0 && !marks_.empty()) release_marks();
  if (is_nonspacing_mark(c)) return;
  if (is == 0) return lowered(c);
  marks_.push_back({is, c});
}

void BertWords::release_marks() {
  std::stable_sort(marks_.begin(), marks_.end(),
                   [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
  for (const Mark& mark : marks_) lowered(mark.character);
  marks_.clear();
}

void BertWords::lowered(char32_t c) {
  if (!rules_.options_.lowercase) return ready_.push_back(c);
  char32_t lower[2];
  const size_t count = lowercase(c, lower);
  ready_.insert(ready_.end(), lower, lower + count);
}

}  // namespace tracer::text
