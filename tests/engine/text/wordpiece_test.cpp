#include "engine/text/wordpiece.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace tracer {
namespace {

using Vocab = std::vector<std::pair<std::string, int32_t>>;
using Ids = std::vector<int32_t>;

enum : int32_t { kPad, kUnk, kCls, kSep, kMask };

// The ids of words below follow from their places in this list.
const std::vector<std::string>& tokens() {
  static const std::vector<std::string> list = {"[PAD]",
                                                "[UNK]",
                                                "[CLS]",
                                                "[SEP]",
                                                "[MASK]",
                                                "un",
                                                "##aff",
                                                "##able",
                                                "a",
                                                "##a",
                                                "!",
                                                "\xE4\xB8\xAD",
                                                "cafe",
                                                "##s",
                                                "i",
                                                "I",
                                                "Cafe",
                                                "caf\xC3\xA9",
                                                "\xF0\x9F\x98\x80",
                                                "\xE2\x80\x8D",
                                                "\xEF\xBF\xBD",
                                                "b",
                                                "##b",
                                                "ab",
                                                std::string(1, '\0'),
                                                "\xE1\x84\x92",
                                                "##\xE1\x85\xA1",
                                                "\xEF\xB8\x8F"};
  return list;
}

int32_t id(std::string_view token) {
  for (size_t i = 0; i < tokens().size(); ++i) {
    if (tokens()[i] == token) return static_cast<int32_t>(i);
  }
  ADD_FAILURE() << token << " is not in the vocabulary";
  return -1;
}

Vocab vocab() {
  Vocab out;
  for (const std::string& token : tokens()) out.emplace_back(token, static_cast<int32_t>(out.size()));
  return out;
}

AddedToken added(std::string content, int32_t id) {
  AddedToken token;
  token.content = std::move(content);
  token.id = id;
  return token;
}

std::vector<AddedToken> special() { return {added("[PAD]", kPad), added("[SEP]", kSep), added("[MASK]", kMask)}; }

WordPiece make(const WordPieceOptions& options = {}, std::vector<AddedToken> added = special()) {
  Result<WordPiece> made = WordPiece::make(vocab(), std::move(added), options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return *std::move(made);
}

// Without the start and the end, which must be there.
Ids pieces(const WordPiece& tokenizer, std::string_view text, int64_t max_tokens = 10000) {
  Ids ids = {-1, -2};  // what was there goes
  tokenizer.encode(text, max_tokens, ids);
  if (ids.size() < 2 || ids.front() != kCls || ids.back() != kSep) {
    ADD_FAILURE() << "no start or no end: " << testing::PrintToString(ids);
    return {};
  }
  return {ids.begin() + 1, ids.end() - 1};
}

Ids ids_of(std::initializer_list<std::string_view> words) {
  Ids out;
  for (std::string_view word : words) out.push_back(id(word));
  return out;
}

TEST(WordPiece, Edges) {
  const WordPiece t = make();
  EXPECT_EQ(t.vocab_size(), static_cast<int32_t>(tokens().size()));
  const std::vector<std::pair<std::string, Ids>> table = {
      {"", {}},
      {" \t\n\r\f\v ", {}},
      {"\x01\x02\x7F\xC2\xAD", {}},
      {"unaffable", ids_of({"un", "##aff", "##able"})},
      {"UnAffAble!a", ids_of({"un", "##aff", "##able", "!", "a"})},
      {"unaffablex a", ids_of({"[UNK]", "a"})},  // one unknown for the whole word
      {"a\x01"
       "a \xE2\x80\x8B"
       "a",
       ids_of({"a", "##a", "a"})},  // control and format characters vanish
      {"a\xC2\xA0"
       "a\xE3\x80\x80"
       "a",
       ids_of({"a", "a", "a"})},
      {"caf\xC3\xA9", ids_of({"cafe"})},
      {"CAFE\xCC\x81S", ids_of({"cafe", "##s"})},
      {"\xC4\xB0", ids_of({"i"})},          // I with a dot above: NFD, then lower case
      {"\xEF\xBC\xA9", ids_of({"[UNK]"})},  // fullwidth I: NFD is not NFKD
      {"a\xE4\xB8\xAD"
       "b",
       ids_of({"a", "\xE4\xB8\xAD", "b"})},
      {"\xED\x95\x98", ids_of({"\xE1\x84\x92", "##\xE1\x85\xA1"})},  // a Hangul syllable, taken apart
      {"\xF0\x9F\x98\x80", ids_of({"\xF0\x9F\x98\x80"})},
      {"\xF0\x9F\x98\x80\xE2\x80\x8D\xEF\xB8\x8F", ids_of({"\xF0\x9F\x98\x80"})},  // joiner, variation selector
      {"a[SEP]b", ids_of({"a", "[SEP]", "b"})},
      {" [SEP][MASK] [SEP", {kSep, kMask, kUnk, kUnk}},
      {"[sep]", {kUnk, kUnk, kUnk}},
      {"[CLS]", {kUnk, kUnk, kUnk}},  // not among the added tokens here
      {"a\xFF"
       "a\xE4\xB8"
       "b\xED\xA0\x80"
       "a",
       ids_of({"a", "##a", "##b", "##a"})},  // ill-formed: U+FFFD, removed
      {std::string("a\0b", 3), ids_of({"ab"})},
      {std::string(1, '\0'), {}},
      {"ab", ids_of({"ab"})},
      {"aab", ids_of({"a", "##a", "##b"})},
  };
  for (const auto& [text, wanted] : table) EXPECT_EQ(pieces(t, text), wanted) << text;
}

TEST(WordPiece, Options) {
  WordPieceOptions options;
  options.clean_text = false;
  EXPECT_EQ(pieces(make(options), std::string("\0 \xFF \xE2\x80\x8D", 7)),
            ids_of({std::string_view("\0", 1), "\xEF\xBF\xBD", "\xE2\x80\x8D"}));
  EXPECT_EQ(pieces(make(options), "a\xF0\x9F\x98"), ids_of({"[UNK]"}));
  options = {};
  options.handle_chinese_chars = false;
  EXPECT_EQ(pieces(make(options), "a\xE4\xB8\xAD"), Ids{kUnk});
  options = {};
  options.lowercase = false;
  EXPECT_EQ(pieces(make(options), "I Cafe\xCC\x81 cafe UN"), ids_of({"I", "Cafe", "cafe", "[UNK]"}));
  options = {};
  options.strip_accents = false;
  EXPECT_EQ(pieces(make(options), "CAF\xC3\x89 \xED\x95\x98"), ids_of({"caf\xC3\xA9", "[UNK]"}));
  options = {};
  options.prefix = "a";  // a word's first piece may start with it too
  EXPECT_EQ(pieces(make(options), "ab bb"), ids_of({"ab", "b", "ab"}));
}

TEST(WordPiece, LongWordsAreUnknown) {
  const WordPiece t = make();
  EXPECT_EQ(pieces(t, std::string(100, 'a')).size(), 100u);
  EXPECT_EQ(pieces(t, std::string(101, 'a')), Ids{kUnk});
  std::string accented;  // counted after they are stripped
  for (int i = 0; i < 100; ++i) accented += "a\xCC\x81";
  EXPECT_EQ(pieces(t, accented).size(), 100u);
  EXPECT_EQ(pieces(t, accented + "\xC3\xA1 b"), ids_of({"[UNK]", "b"}));
  WordPieceOptions options;
  options.max_input_chars_per_word = 0;
  EXPECT_EQ(pieces(make(options), "a !"), (Ids{kUnk, kUnk}));
}

TEST(WordPiece, Truncation) {
  const WordPiece t = make();
  const std::string text = "unaffable a [MASK] b!";
  const Ids all = pieces(t, text);
  EXPECT_EQ(all, ids_of({"un", "##aff", "##able", "a", "[MASK]", "b", "!"}));
  for (size_t n = 0; n <= all.size() + 3; ++n) {
    const Ids cut(all.begin(), all.begin() + std::min(all.size(), std::max<size_t>(n, 2) - 2));
    EXPECT_EQ(pieces(t, text, static_cast<int64_t>(n)), cut) << n;
  }
  EXPECT_EQ(pieces(t, text, INT64_MAX), all);
  EXPECT_EQ(pieces(t, "unaffablex", 3), Ids{kUnk});  // the whole word is looked at before the cut
}

TEST(WordPiece, AddedTokens) {
  const auto n = static_cast<int32_t>(tokens().size());
  std::vector<AddedToken> list = {added("x", n),       added("xyz", n + 1), added("\xC3\x89", n + 2),
                                  added("<w>", n + 3), added("ba", n + 4),  added("<l>", n + 5)};
  list[4].single_word = true;
  list[5].lstrip = list[5].rstrip = true;
  const WordPiece t = make({}, list);
  EXPECT_EQ(t.vocab_size(), n + 6);
  EXPECT_EQ(pieces(t, "xyxyza"), (Ids{n, kUnk, n + 1, id("a")}));  // leftmost, then longest
  EXPECT_EQ(pieces(t, "X"), Ids{kUnk});                            // before any lower case
  EXPECT_EQ(pieces(t, "a\xC3\x89\xC3\xA9"), (Ids{id("a"), n + 2, kUnk}));
  EXPECT_EQ(pieces(t,
                   "\xCC\x81<w>\xCC\x81"
                   "a"),
            (Ids{n + 3, id("a")}));
  EXPECT_EQ(pieces(t,
                   "ba ba! aba \xC3\xA9"
                   "ba"),
            (Ids{n + 4, n + 4, id("!"), id("ab"), id("##a"), kUnk}));
  EXPECT_EQ(pieces(t,
                   "ba\xFF"
                   "ba"),
            (Ids{n + 4, n + 4}));  // U+FFFD is no word character
  EXPECT_EQ(pieces(t, "a  <l>  b"), (Ids{id("a"), n + 5, id("b")}));
}

TEST(WordPiece, MakeRefuses) {
  const auto n = static_cast<int32_t>(tokens().size());
  const auto refuses = [](const Result<WordPiece>& made, std::string_view part) {
    ASSERT_FALSE(made.ok()) << part;
    EXPECT_EQ(made.status().code(), ErrorCode::kBadInput);
    EXPECT_NE(made.status().message().find(part), std::string::npos) << made.status().message();
  };
  const auto with = [](std::string token, int32_t id) {
    Vocab v = vocab();
    v.emplace_back(std::move(token), id);
    return v;
  };
  refuses(WordPiece::make({}, {}, {}), "vocab: empty");
  refuses(WordPiece::make(with("new", -1), {}, {}), "'new' has id -1");
  refuses(WordPiece::make(with("new", 3), {}, {}), "'new' repeats id 3");
  refuses(WordPiece::make(with("cafe", n), {}, {}), "'cafe' is there twice");
  refuses(WordPiece::make(with("\xFF", n), {}, {}), "not UTF-8");
  WordPieceOptions options;
  options.unknown = "<u>";
  refuses(WordPiece::make(vocab(), {}, options), "unknown: '<u>'");
  refuses(WordPiece::make(vocab(), {added("<u>", n)}, options), "unknown: '<u>'");  // must be a piece
  options = {};
  options.start = "<s>";
  refuses(WordPiece::make(vocab(), {}, options), "start: '<s>'");
  EXPECT_TRUE(WordPiece::make(vocab(), {added("<s>", n)}, options).ok());
  options = {};
  options.end = "</s>";
  refuses(WordPiece::make(vocab(), {}, options), "end: '</s>'");
  options = {};
  options.max_input_chars_per_word = -1;
  refuses(WordPiece::make(vocab(), {}, options), "max_input_chars_per_word: -1");
  options = {};
  refuses(WordPiece::make(vocab(), {added("", n)}, options), "no content");
  refuses(WordPiece::make(vocab(), {added("\xC3", n)}, options), "not UTF-8");
  refuses(WordPiece::make(vocab(), {added("a\xEF\xBF\xBD", n)}, options), "U+FFFD");
  refuses(WordPiece::make(vocab(), {added("[SEP]", kSep), added("[SEP]", kSep)}, options), "'[SEP]' is there twice");
  refuses(WordPiece::make(vocab(), {added("[SEP]", n)}, options), "would give it 3");
  refuses(WordPiece::make(vocab(), {added("<n>", n + 1)}, options), "would give it " + std::to_string(n));
  refuses(WordPiece::make(with("far", n + 1), {added("<n>", n + 1)}, options), "repeats id");
  AddedToken normalized = added("<n>", n);
  normalized.normalized = true;
  refuses(WordPiece::make(vocab(), {normalized}, options), "normalized = true");
}

TEST(WordPiece, ThreadsGetTheSameIds) {
  const WordPiece t = make();
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(std::string(static_cast<size_t>(i % 7), 'a') + " caf\xC3\xA9 \xE4\xB8\xAD[SEP] unaffable!");
  }
  std::vector<Ids> wanted;
  for (const std::string& text : texts) wanted.push_back(pieces(t, text));
  std::vector<int> different(4, 0);
  std::vector<std::thread> threads;
  for (int& count : different) {
    threads.emplace_back([&] {
      Ids ids;
      for (size_t i = 0; i < texts.size(); ++i) {
        t.encode(texts[i], 1000, ids);
        count += Ids(ids.begin() + 1, ids.end() - 1) != wanted[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, std::vector<int>(4, 0));
}

// A quadratic path would take minutes.
TEST(WordPiece, HostileTextTakesLinearTime) {
  const size_t size = size_t{1} << 20;
  std::string marks, deep, brackets;
  while (marks.size() < size)
    marks += marks.size() % 8 == 0 ? "\xF0\x9D\x85\xA5" : "\xF0\x9D\x85\xAD";  // classes 216, 226
  while (deep.size() < size) deep += "[SEP";
  while (brackets.size() < size) brackets += "[";
  WordPieceOptions unlimited;
  unlimited.max_input_chars_per_word = INT64_MAX;
  const auto started = std::chrono::steady_clock::now();
  for (const WordPieceOptions& options : {WordPieceOptions(), unlimited}) {
    const WordPiece t = make(options);
    for (const std::string& text : {std::string(size, 'a'), std::string(size, 'z'), std::string(size, ' '), marks, deep,
                                    brackets, std::string(size, '\xCC'), std::string(size, '\x01')}) {
      for (int64_t max_tokens : {256, 1 << 21}) (void)pieces(t, text, max_tokens);
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(60));
}

}  // namespace
}  // namespace tracer
