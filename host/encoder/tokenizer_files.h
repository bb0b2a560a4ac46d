// The tokenizer of an encoder folder, as its files describe it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/wordpiece.h"
#include "host/io/json_fields.h"
#include "kernels/status.h"

namespace tracer {

struct TokenizerFiles {
  std::vector<std::pair<std::string, int32_t>> vocabulary;
  std::vector<AddedToken> added;
  WordPieceOptions options;
};

// tokenizer.json of Hugging Face's tokenizers. kBadInput, beginning with `name` and naming the field, for any component
// other than BertNormalizer, BertPreTokenizer, WordPiece and a template of one sequence between two special tokens.
Result<TokenizerFiles> parse_tokenizer_json(std::string_view text, const std::string& name);

// vocab.txt: a token a line, numbered from 0. `config` is tokenizer_config.json, or an empty object; the special tokens
// that the vocabulary holds are matched in texts.
Result<TokenizerFiles> parse_vocabulary(std::string_view text, const nlohmann::ordered_json& config,
                                        const std::string& name, const std::string& config_name);

}  // namespace tracer
