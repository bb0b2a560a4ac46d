#include "engine/text/ngrams.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

namespace tracer {
namespace {

NgramRow row_of(const std::string& text) {
  NgramHasher hasher;
  NgramRow row;
  hasher.hash(text, row);
  return row;
}

std::map<int32_t, float> as_map(const NgramRow& row) {
  std::map<int32_t, float> m;
  for (size_t i = 0; i < row.index.size(); ++i) m[row.index[i]] = row.weight[i];
  return m;
}

void check(const NgramRow& row) {
  ASSERT_EQ(row.index.size(), row.weight.size());
  double squares = 0;
  std::set<int32_t> buckets;
  for (size_t i = 0; i < row.index.size(); ++i) {
    EXPECT_TRUE(row.index[i] >= 0 && row.index[i] < kNgramBuckets);
    EXPECT_TRUE(buckets.insert(row.index[i]).second) << "each bucket once";
    EXPECT_NE(row.weight[i], 0);
    squares += double{row.weight[i]} * double{row.weight[i]};
  }
  // Each weight is rounded to float: a relative error of 2^-24 each.
  if (!row.index.empty()) {
    EXPECT_TRUE(std::abs(squares - 1) <= 0x1p-22) << squares;
  }
  for (uint32_t slot : row.word) EXPECT_LT(slot, kWordSlots);
}

TEST(Ngrams, TextsWithoutWordsHaveNoFeatures) {
  for (const char* text : {"", " ", "\t\n", "...!?", "\xff\xfe\x80", "\xe2\x80\xa6"}) {
    const NgramRow row = row_of(text);
    EXPECT_TRUE(row.index.empty() && row.word.empty()) << text;
  }
}

TEST(Ngrams, WordsAreFoundWhateverTheScript) {
  const std::pair<std::string, size_t> cases[] = {{"a", 1},
                                                  {"My card", 2},
                                                  {"can't", 2},
                                                  {"naïve café", 2},
                                                  {"你好吗", 3},         // ideographs are words
                                                  {"ok 😀😀", 3},          // and so are emoji
                                                  {"a\xff b", 2},        // ill-formed bytes separate
                                                  {"a\xf0\x9f\x98", 1},  // a character cut short
                                                  {std::string("a\0b", 3), 2},
                                                  {"price€5", 3}};
  for (const auto& [text, words] : cases) {
    const NgramRow row = row_of(text);
    EXPECT_EQ(row.word.size(), words) << text;
    check(row);
  }
}

TEST(Ngrams, CaseAndPunctuationMakeNoDifference) {
  EXPECT_EQ(as_map(row_of("My CARD, has not come!")), as_map(row_of("my card has not come")));
  EXPECT_EQ(as_map(row_of("ÄRGER")), as_map(row_of("ärger")));
  EXPECT_NE(as_map(row_of("card my")), as_map(row_of("my card")));  // pairs have an order
}

TEST(Ngrams, ARowDoesNotHangOnTheOneBefore) {
  NgramHasher hasher;
  NgramRow row;
  for (const char* text : {"some long text about cards", "", "x", "some long text about cards"}) {
    hasher.hash(text, row);
    EXPECT_EQ(as_map(row), as_map(row_of(text))) << text;
  }
}

TEST(Ngrams, CountsAreSublinear) {
  // One feature, "a", its pair with itself, and no three characters but "<a>".
  const NgramRow once = row_of("a"), often = row_of("a a a a a a a a");
  check(often);
  EXPECT_EQ(often.word.size(), 8u);
  EXPECT_LE(often.index.size(), once.index.size() + 1);
  for (float w : often.weight) EXPECT_LT(std::abs(w), 1);
}

TEST(Ngrams, LongTextsAreCutAndTakeNoLonger) {
  const std::string long_text(10'000'000, 'a');
  check(row_of(long_text));
  EXPECT_EQ(as_map(row_of(long_text)), as_map(row_of(long_text.substr(0, kMostNgramBytes))));
  std::string cut(kMostNgramBytes - 1, 'a');
  check(row_of(cut + "é"));  // the cut falls into a character
  EXPECT_EQ(as_map(row_of(cut + "é")), as_map(row_of(cut)));
}

// Policies on disk hold weights by bucket: another hash would make nonsense of them.
TEST(Ngrams, TheHashIsFrozen) {
  const NgramRow row = row_of("Card 7");
  const std::vector<int32_t> buckets = {5165, 6893, 1405, 5376, 1339, 4780, 272, 3627, 4915, 3408, 1855, 1889, 2371};
  EXPECT_EQ(row.index, buckets);
  std::string signs;
  for (float w : row.weight) signs += w > 0 ? '+' : '-';
  EXPECT_EQ(signs, "++-+-+++-+--+");
  EXPECT_EQ(row.word, (std::vector<uint32_t>{661173, 237566}));
}

}  // namespace
}  // namespace tracer
