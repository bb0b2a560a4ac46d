#include "engine/text/ngrams.h"

#include <array>
#include <bit>
#include <cmath>

#include "engine/text/bert_unicode.h"
#include "engine/text/utf8.h"

namespace tracer {
namespace {

constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ull;
constexpr uint64_t kFinal = 0xD6E8FEB86659FD93ull;
// Where the three kinds of features start, so that none of one kind is one of another.
constexpr uint64_t kCharacters = 0x243F6A8885A308D3ull, kWord = 0x13198A2E03707344ull, kPair = 0xA4093822299F31D0ull;
constexpr size_t kShortest = 3, kLongest = 5;  // characters
constexpr char32_t kWordStart = 2, kWordEnd = 3;
constexpr int kBucketBits = std::countr_zero(static_cast<uint64_t>(kNgramBuckets));
constexpr int kSlotBits = std::countr_zero(static_cast<uint64_t>(kWordSlots));

uint64_t step(uint64_t hash, uint64_t next) { return std::rotl((hash ^ next) * kMultiplier, 27); }
uint64_t finish(uint64_t hash) {
  hash = (hash ^ (hash >> 32)) * kFinal;
  return hash ^ (hash >> 29);
}

enum class Kind { kSeparator, kPart, kWhole };  // a whole character is a word by itself

Kind kind_of(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? Kind::kPart : Kind::kSeparator;
  if (c == text::kReplacement) return Kind::kSeparator;
  if (text::is_cjk(c)) return Kind::kWhole;
  if (text::is_word_character(c)) return Kind::kPart;
  return text::is_whitespace(c) || text::is_punctuation(c) || text::is_cleaned_away(c) ? Kind::kSeparator
                                                                                       : Kind::kWhole;
}

float sublinear(float sum) {
  static const auto table = [] {
    std::array<float, 64> t{};
    for (size_t i = 1; i < t.size(); ++i) t[i] = static_cast<float>(1 + std::log(static_cast<double>(i)));
    return t;
  }();
  const float size = std::abs(sum);
  const float value = size < static_cast<float>(table.size()) ? table[static_cast<size_t>(size)]
                                                              : static_cast<float>(1 + std::log(double{size}));
  return std::copysign(value, sum);
}

}  // namespace

void NgramHasher::add(uint64_t hash, NgramRow& out) {
  hash = finish(hash);
  const auto bucket = static_cast<int32_t>(hash >> (64 - kBucketBits));
  const float sign = (hash & 1) != 0 ? 1.0f : -1.0f;
  int32_t& place = place_[static_cast<size_t>(bucket)];
  if (place >= 0) {
    out.weight[static_cast<size_t>(place)] += sign;
    return;
  }
  place = static_cast<int32_t>(out.index.size());
  out.index.push_back(bucket);
  out.weight.push_back(sign);
}

void NgramHasher::end_word(NgramRow& out) {
  if (word_.size() <= 1) return;
  uint64_t word = kWord;
  for (size_t i = 1; i < word_.size(); ++i) word = step(word, word_[i]);
  add(word, out);
  out.word.push_back(static_cast<uint32_t>(finish(word) >> (64 - kSlotBits)));
  if (before_ != 0) add(step(step(kPair, before_), word), out);
  before_ = word;
  word_.push_back(kWordEnd);
  for (size_t first = 0; first + kShortest <= word_.size(); ++first) {
    uint64_t hash = kCharacters;
    const size_t end = std::min(word_.size(), first + kLongest);
    for (size_t i = first; i < end; ++i) {
      hash = step(hash, word_[i]);
      if (i + 1 - first >= kShortest) add(hash, out);
    }
  }
  word_.resize(1);
}

void NgramHasher::hash(std::string_view text, NgramRow& out) {
  out.index.clear(), out.weight.clear(), out.word.clear();
  word_.assign(1, kWordStart);
  before_ = 0;
  text = text.substr(0, kMostNgramBytes);
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80) {
      ++at;
      const char32_t c = byte >= 'A' && byte <= 'Z' ? char32_t{byte} + ('a' - 'A') : byte;
      if (kind_of(c) == Kind::kPart)
        word_.push_back(c);
      else
        end_word(out);
      continue;
    }
    const text::Decoded decoded = text::decode_utf8(text, at);
    at += decoded.bytes;
    char32_t lower[2];
    const size_t count = text::lowercase(decoded.character, lower);
    for (size_t i = 0; i < count; ++i) {
      const Kind kind = kind_of(lower[i]);
      if (kind != Kind::kPart) end_word(out);
      if (kind != Kind::kSeparator) word_.push_back(lower[i]);
      if (kind == Kind::kWhole) end_word(out);
    }
  }
  end_word(out);
  size_t kept = 0;
  double squares = 0;
  for (size_t i = 0; i < out.index.size(); ++i) {
    place_[static_cast<size_t>(out.index[i])] = -1;
    if (out.weight[i] == 0) continue;  // its signs cancelled out
    out.index[kept] = out.index[i];
    out.weight[kept] = sublinear(out.weight[i]);
    squares += double{out.weight[kept]} * double{out.weight[kept]};
    ++kept;
  }
  out.index.resize(kept), out.weight.resize(kept);
  const double scale = 1 / std::sqrt(squares);  // not used where there is nothing
  for (float& w : out.weight) w = static_cast<float>(w * scale);
}

}  // namespace tracer
