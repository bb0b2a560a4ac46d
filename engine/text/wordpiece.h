// BERT's WordPiece tokenizer: the ids that Hugging Face's tokenizers 0.23.3 gives for a tokenizer.json of
// BertNormalizer, BertPreTokenizer, WordPiece and TemplateProcessing "[CLS] $A [SEP]", with no padding; equal on every
// code point and on random and real text (tests/engine/text/wordpiece_oracle_test.cpp). Source of the method: Schuster
// and Nakajima, "Japanese and Korean voice search", 2012, as Devlin et al. use it (arXiv:1810.04805): the longest piece
// first, from the left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/status.h"

namespace tracer {

// Named as in tokenizer.json, where strip_accents = null means the value of lowercase.
struct WordPieceOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
  std::string unknown = "[UNK]";
  std::string prefix = "##";
  std::string start = "[CLS]";
  std::string end = "[SEP]";
  int64_t max_input_chars_per_word = 100;  // a longer word is unknown
};

// Text that becomes one id before anything else looks at it: case matters, the leftmost and then the longest match
// wins.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // not next to a word character
  bool lstrip = false;       // takes the whitespace beside it, which no id stands for: makes no difference to ids
  bool rstrip = false;
  bool normalized = false;  // must be false: matching normalised text is not implemented
};

class WordPiece {
 public:
  // kBadInput, naming the token or the option, for what tokenizers would refuse or what is not supported: an empty
  // vocabulary; negative or repeated ids; repeated tokens; text that is not UTF-8; a vocabulary without `unknown`;
  // start or end in neither list; an added token that is empty, repeated, normalized, holds U+FFFD, or has another id
  // than tokenizers would give it: the vocabulary's, or, for new ones in order, the vocabulary's size and what follows.
  static Result<WordPiece> make(std::vector<std::pair<std::string, int32_t>> vocab, std::vector<AddedToken> added,
                                const WordPieceOptions& options);

  // ids becomes start, the text's pieces, end: at most max_tokens ids, a max_tokens below 2 counting as 2; pieces
  // beyond are cut on the right. text may be any bytes: each maximal ill-formed subpart is read as U+FFFD, as Python's
  // errors="replace" does (and clean_text removes it). Thread-safe. Cost: linear in the text up to the piece that fills
  // max_tokens, times the longest piece in the worst case; no allocation for a word.
  void encode(std::string_view text, int64_t max_tokens, std::vector<int32_t>& ids) const;

  // The largest id of a vocabulary or added token, and 1.
  int32_t vocab_size() const;

 private:
  struct State;
  explicit WordPiece(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;  // immutable: copies share it
};

}  // namespace tracer
