// Hashed n-grams of a text: the cheap encoder of a cascade's first stage (docs/cascade.md). Nothing is learned, and no
// table is kept.
//
// A text is lower-cased and cut into words: runs of letters, marks and digits; an ideograph, an emoji or another symbol
// is a word by itself; what is ill-formed UTF-8 separates words. Its features are the words, the pairs of adjacent
// words, and the 3 to 5 characters in a row within a word and its two ends. Each falls into one of kNgramBuckets
// buckets, with a sign (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", arXiv:0902.2206). A
// bucket's weight is sign(s) (1 + ln |s|) of the sum s of its signs, and a row has unit length.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tracer {

// Frozen, as the hash is: weights of a policy are by bucket.
inline constexpr int64_t kNgramBuckets = 1 << 13;
inline constexpr size_t kMostNgramBytes = 4096;  // of a text; what comes after is not looked at
inline constexpr int64_t kWordSlots = 1 << 20;   // a word's place in a set of words (TextStage::words)

struct NgramRow {
  std::vector<int32_t> index;  // buckets, each once, in the order in which the text brings them
  std::vector<float> weight;   // of each; not 0
  std::vector<uint32_t> word;  // of each word of the text, in order, its slot; in [0, kWordSlots)
};

// Not thread-safe: one for each thread. Cost: about 10 ns an n-gram.
class NgramHasher {
 public:
  NgramHasher() : place_(kNgramBuckets, -1) {}
  void hash(std::string_view text, NgramRow& out);

 private:
  void add(uint64_t hash, NgramRow& out);
  void end_word(NgramRow& out);

  std::vector<int32_t> place_;  // of each bucket its place in the row at hand, or -1
  std::vector<char32_t> word_;  // the one being read, its ends included
  uint64_t before_ = 0;         // hash of the word before; 0: there is none
};

}  // namespace tracer
