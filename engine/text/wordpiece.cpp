#include "engine/text/wordpiece.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "engine/text/bert_words.h"
#include "engine/text/piece_trie.h"
#include "engine/text/utf8.h"

namespace tracer {
namespace {

using Vocab = std::vector<std::pair<std::string, int32_t>>;
using IdOf = std::unordered_map<std::string_view, int32_t>;

Status check_vocab(const Vocab& vocab, IdOf& id_of, std::unordered_set<int32_t>& used) {
  if (vocab.empty()) return bad_input("vocab: empty");
  for (const auto& [token, id] : vocab) {
    const std::string name = "vocab: token '" + token + "' ";
    if (!text::is_utf8(token)) return bad_input("vocab: the token of id " + std::to_string(id) + " is not UTF-8");
    if (id < 0 || id == INT32_MAX) return bad_input(name + "has id " + std::to_string(id));
    if (!id_of.emplace(token, id).second) return bad_input(name + "is there twice");
    if (!used.insert(id).second) return bad_input(name + "repeats id " + std::to_string(id));
  }
  return {};
}

Status check_added(const std::vector<AddedToken>& added, size_t vocab_size, IdOf& id_of,
                   std::unordered_set<int32_t>& used) {
  std::unordered_set<std::string_view> seen;
  auto next_id = static_cast<int64_t>(vocab_size);
  for (const AddedToken& token : added) {
    const std::string name = "added_tokens: '" + token.content + "' ";
    if (token.content.empty()) return bad_input("added_tokens: id " + std::to_string(token.id) + " has no content");
    if (!text::is_utf8(token.content)) {
      return bad_input("added_tokens: the content of id " + std::to_string(token.id) + " is not UTF-8");
    }
    // It would have to match ill-formed bytes too.
    if (token.content.find("\xEF\xBF\xBD") != std::string::npos) return bad_input(name + "holds U+FFFD");
    if (token.normalized) return bad_input(name + "has normalized = true, which is not supported");
    if (!seen.insert(token.content).second) return bad_input(name + "is there twice");
    const auto known = id_of.find(token.content);
    const int64_t id = known != id_of.end() ? known->second : next_id++;
    if (token.id != id) {
      return bad_input(name + "has id " + std::to_string(token.id) + ", but tokenizers would give it " +
                       std::to_string(id));
    }
    if (known != id_of.end()) continue;
    if (token.id == INT32_MAX || !used.insert(token.id).second) {
      return bad_input(name + "repeats id " + std::to_string(token.id));
    }
    id_of.emplace(token.content, token.id);
  }
  return {};
}

Result<int32_t> find(const IdOf& id_of, const char* option, const std::string& token) {
  const auto found = id_of.find(token);
  if (found == id_of.end()) return bad_input(std::string(option) + ": '" + token + "' is not in the vocabulary");
  return found->second;
}

std::string first_bytes(const std::vector<AddedToken>& added) {
  std::string bytes;
  for (const AddedToken& token : added) bytes.push_back(token.content[0]);
  return bytes;
}

text::PieceTrie initial_pieces(const Vocab& vocab) { return text::PieceTrie({vocab.begin(), vocab.end()}); }

text::PieceTrie continuing_pieces(const Vocab& vocab, const std::string& prefix) {
  std::vector<std::pair<std::string_view, int32_t>> pieces;
  for (const auto& [token, id] : vocab) {
    if (token.starts_with(prefix)) pieces.emplace_back(std::string_view(token).substr(prefix.size()), id);
  }
  return text::PieceTrie(std::move(pieces));
}

// By place in the list, not by id.
text::PieceTrie contents(const std::vector<AddedToken>& added) {
  std::vector<std::pair<std::string_view, int32_t>> pieces;
  for (const AddedToken& token : added) pieces.emplace_back(token.content, static_cast<int32_t>(pieces.size()));
  return text::PieceTrie(std::move(pieces));
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && text::is_word_character(text::decode_utf8_before(text, begin))) ||
         (end < text.size() && text::is_word_character(text::decode_utf8(text, end).character));
}

}  // namespace

struct WordPiece::State {
  State(const Vocab& vocab, std::vector<AddedToken> added_tokens, const WordPieceOptions& options)
      : rules({options.clean_text, options.handle_chinese_chars, options.strip_accents, options.lowercase},
              first_bytes(added_tokens)),
        initial(initial_pieces(vocab)),
        continuing(continuing_pieces(vocab, options.prefix)),
        added_by_content(contents(added_tokens)),
        added(std::move(added_tokens)),
        max_characters(options.max_input_chars_per_word) {}

  void append_pieces(std::string_view word, std::vector<int32_t>& ids) const;

  text::BertRules rules;
  text::PieceTrie initial, continuing, added_by_content;
  std::vector<AddedToken> added;
  int64_t max_characters;
  int32_t unknown = 0, start = 0, end = 0, vocab_size = 0;
};

Result<WordPiece> WordPiece::make(Vocab vocab, std::vector<AddedToken> added, const WordPieceOptions& options) {
  IdOf id_of;
  std::unordered_set<int32_t> used;
  TRACER_RETURN_IF_ERROR(check_vocab(vocab, id_of, used));
  const Result<int32_t> unknown = find(id_of, "unknown", options.unknown);
  if (!unknown.ok()) return unknown.status();
  TRACER_RETURN_IF_ERROR(check_added(added, vocab.size(), id_of, used));
  const Result<int32_t> start = find(id_of, "start", options.start);
  if (!start.ok()) return start.status();
  const Result<int32_t> end = find(id_of, "end", options.end);
  if (!end.ok()) return end.status();
  if (!text::is_utf8(options.prefix)) return bad_input("prefix: not UTF-8");
  if (options.max_input_chars_per_word < 0) {
    return bad_input("max_input_chars_per_word: " + std::to_string(options.max_input_chars_per_word));
  }

  auto state = std::make_shared<State>(vocab, std::move(added), options);
  state->unknown = *unknown;
  state->start = *start;
  state->end = *end;
  state->vocab_size = *std::max_element(used.begin(), used.end()) + 1;
  return WordPiece(std::move(state));
}

int32_t WordPiece::vocab_size() const { return state_->vocab_size; }

void WordPiece::State::append_pieces(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  const text::PieceTrie* pieces = &initial;
  while (!word.empty()) {
    const text::PieceTrie::Match piece = pieces->longest(word);
    if (piece.id < 0) {  // one unknown for the whole word
      ids.resize(before);
      ids.push_back(unknown);
      return;
    }
    ids.push_back(piece.id);
    word.remove_prefix(piece.bytes);
    pieces = &continuing;
  }
}

void WordPiece::encode(std::string_view text, int64_t max_tokens, std::vector<int32_t>& ids) const {
  using Event = text::BertWords::Event;
  const State& state = *state_;
  // No id depends on text after what it stands for, so reading ends once there are enough.
  const auto enough = static_cast<size_t>(std::max<int64_t>(max_tokens, 2) - 1);
  ids.clear();
  ids.push_back(state.start);
  text::BertWords words(state.rules, text, state.max_characters);
  const AddedToken* found = nullptr;  // where the words read now end
  while (ids.size() < enough) {
    const Event event = words.next();
    if (event == Event::kWord) {
      if (words.characters() > state.max_characters) {
        ids.push_back(state.unknown);
      } else {
        state.append_pieces(words.word(), ids);
      }
    } else if (event == Event::kStop) {
      const size_t at = words.position();
      const text::PieceTrie::Match match = state.added_by_content.longest(text.substr(at));
      if (match.id < 0) {
        words.pass(at + 1);
      } else if (state.added[match.id].single_word && touches_word(text, at, at + match.bytes)) {
        words.pass(at + match.bytes);  // refused, it still hides shorter and overlapping ones
      } else {
        found = &state.added[match.id];
        words.cut();
      }
    } else if (found != nullptr) {
      ids.push_back(found->id);
      words.resume(words.position() + found->content.size());
      found = nullptr;
    } else {
      break;
    }
  }
  ids.resize(std::min(ids.size(), enough));
  ids.push_back(state.end);
}

}  // namespace tracer
