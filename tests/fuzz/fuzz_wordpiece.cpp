// Any bytes as a text: the ids are in range, between the start and the end, and a shorter limit cuts them and changes
// nothing else. The first bytes choose the options, the vocabulary's pieces and the added tokens; the rest is the text.
#include <algorithm>

#include "engine/text/wordpiece.h"
#include "tests/fuzz/check.h"

namespace {

// What the bytes of the input choose from, at most 8 for each.
constexpr const char* kPieces[] = {"a", "##a", "ab", "##b", "\xC3\xA9", "##\xCC\x81", "\xE4\xB8\xAD", "##abc"};
constexpr const char* kAdded[] = {"ab", "abc", "bc", "[S", "\xC3\xA9", " a", "\xE4\xB8\xAD\xE4\xB8\xAD", "a"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  constexpr size_t kHeader = 6;
  if (size < kHeader) return 0;
  WordPieceOptions options;
  options.clean_text = data[0] & 1;
  options.handle_chinese_chars = data[0] & 2;
  options.strip_accents = data[0] & 4;
  options.lowercase = data[0] & 8;
  if (data[0] & 16) options.prefix = data[0] & 32 ? "" : "a";
  options.max_input_chars_per_word = data[1] < 200 ? data[1] : int64_t{1} << 40;

  std::vector<std::pair<std::string, int32_t>> vocab = {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}};
  for (size_t i = 0; i < 8; ++i) {
    if (data[2] >> i & 1) vocab.emplace_back(kPieces[i], static_cast<int32_t>(vocab.size()));
  }
  auto next_id = static_cast<int32_t>(vocab.size());
  std::vector<AddedToken> added;
  for (size_t i = 0; i < 8; ++i) {
    if (!(data[3] >> i & 1)) continue;
    AddedToken token;
    token.content = kAdded[i];
    const auto known =
        std::find_if(vocab.begin(), vocab.end(), [&](const auto& v) { return v.first == token.content; });
    token.id = known != vocab.end() ? known->second : next_id++;
    token.single_word = data[4] >> i & 1;
    added.push_back(token);
  }
  const Result<WordPiece> tokenizer = WordPiece::make(vocab, added, options);
  check(tokenizer.ok() && tokenizer->vocab_size() == next_id);

  const std::string_view text(reinterpret_cast<const char*>(data) + kHeader, size - kHeader);
  std::vector<int32_t> all, some;
  tokenizer->encode(text, int64_t{1} << 40, all);
  check(all.size() >= 2 && all.front() == 1 && all.back() == 2);
  check(std::all_of(all.begin(), all.end(), [&](int32_t id) { return id >= 0 && id < next_id; }));
  // No character gives more than 4 after its decomposition, and none fewer than a byte.
  check(all.size() <= 4 * text.size() + 2);

  const int64_t limit = data[5];
  tokenizer->encode(text, limit, some);
  const size_t wanted = std::min(all.size(), static_cast<size_t>(std::max<int64_t>(limit, 2)));
  check(some.size() == wanted && some.back() == 2);
  check(std::equal(some.begin(), some.end() - 1, all.begin()));
  return 0;
}
