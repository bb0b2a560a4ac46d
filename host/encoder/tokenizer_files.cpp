#include "host/encoder/tokenizer_files.h"

#include <simdjson.h>

#include <limits>
#include <set>

namespace tracer {
namespace {

using Json = JsonFields::Json;

constexpr int64_t kMostTokens = std::numeric_limits<int32_t>::max() - 1;

// tokenizer.json without its vocabulary, which goes to `out` instead: an ordered document searches its keys one by one,
// and a vocabulary has tens of thousands.
class DocumentReader {
 public:
  DocumentReader(const std::string& name, TokenizerFiles& out) : name_(name), out_(out) {}

  Result<Json> read(std::string_view text) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(text.data(), text.size(), /*realloc_if_needed=*/true).get(root) != simdjson::SUCCESS)
      return bad_input(name_ + ": expected JSON, found something else");
    Json json;
    TRACER_RETURN_IF_ERROR(convert(root, 0, "", json));
    return json;
  }

 private:
  static constexpr int kDeepest = 32;
  static constexpr size_t kMostFields = 1000;

  Status convert(simdjson::dom::element from, int depth, std::string_view inside, Json& to) {
    if (depth > kDeepest)
      return bad_input(name_ + ": expected at most " + std::to_string(kDeepest) + " levels, found more");
    switch (from.type()) {
      case simdjson::dom::element_type::OBJECT: {
        to = Json::object();
        const simdjson::dom::object fields(from);
        for (const auto field : fields) {
          if (depth == 1 && inside == "model" && field.key == "vocab") {
            TRACER_RETURN_IF_ERROR(take_vocabulary(field.value));
            continue;
          }
          if (to.size() >= kMostFields)
            return bad_input(name_ + ": expected at most " + std::to_string(kMostFields) +
                             " fields in an object, found more");
          TRACER_RETURN_IF_ERROR(convert(field.value, depth + 1, field.key, to[std::string(field.key)]));
        }
        return {};
      }
      case simdjson::dom::element_type::ARRAY: {
        to = Json::array();
        const simdjson::dom::array values(from);
        for (const auto value : values) TRACER_RETURN_IF_ERROR(convert(value, depth + 1, "", to.emplace_back()));
        return {};
      }
      case simdjson::dom::element_type::STRING:
        to = std::string(std::string_view(from));
        return {};
      case simdjson::dom::element_type::BOOL:
        to = static_cast<bool>(from);
        return {};
      case simdjson::dom::element_type::INT64:
        to = static_cast<int64_t>(from);
        return {};
      case simdjson::dom::element_type::UINT64:
        to = static_cast<uint64_t>(from);
        return {};
      case simdjson::dom::element_type::DOUBLE:
        to = static_cast<double>(from);
        return {};
      case simdjson::dom::element_type::NULL_VALUE:
        to = nullptr;
        return {};
    }
    return {};
  }

  Status take_vocabulary(simdjson::dom::element json) {
    const std::string where = name_ + ": model: vocab: ";
    simdjson::dom::object tokens;
    if (json.get(tokens) != simdjson::SUCCESS) return bad_input(where + "expected an object of tokens and their ids");
    for (const auto field : tokens) {
      int64_t id = -1;
      if (field.value.get(id) != simdjson::SUCCESS || id < 0 || id > kMostTokens)
        return bad_input(where + "expected ids from 0 to " + std::to_string(kMostTokens) + ", found another for \"" +
                         std::string(field.key.substr(0, 60)) + "\"");
      out_.vocabulary.emplace_back(field.key, static_cast<int32_t>(id));
    }
    return {};
  }

  const std::string& name_;
  TokenizerFiles& out_;
};

// A component whose "type" must be the one given.
Status check_type(const Json& component, const std::string& where, const std::string& expected) {
  JsonFields f(component, where);
  std::string type;
  f.text("type", type);
  TRACER_RETURN_IF_ERROR(f.status());
  if (type == expected) return {};
  return bad_input(where + ": \"type\": expected \"" + expected + "\", found \"" + type + "\"");
}

bool given(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

Status parse_normalizer(const Json& json, const std::string& where, WordPieceOptions& options) {
  TRACER_RETURN_IF_ERROR(check_type(json, where, "BertNormalizer"));
  JsonFields f(json, where);
  f.boolean("clean_text", options.clean_text);
  f.boolean("handle_chinese_chars", options.handle_chinese_chars);
  f.boolean("lowercase", options.lowercase);
  options.strip_accents = options.lowercase;
  if (given(json, "strip_accents")) f.boolean("strip_accents", options.strip_accents);
  return f.status();
}

Status parse_model(const Json& json, const std::string& where, TokenizerFiles& out) {
  TRACER_RETURN_IF_ERROR(check_type(json, where, "WordPiece"));
  JsonFields f(json, where);
  f.text("unk_token", out.options.unknown);
  f.text("continuing_subword_prefix", out.options.prefix);
  f.count("max_input_chars_per_word", out.options.max_input_chars_per_word);
  return f.status();
}

Status parse_added(const Json& tokens, const std::string& where, std::vector<AddedToken>& out) {
  for (const Json& json : tokens) {
    JsonFields f(json, where);
    AddedToken token;
    int64_t id = 0;
    f.text("content", token.content);
    f.count("id", id, kMostTokens);
    f.boolean("single_word", token.single_word);
    f.boolean("lstrip", token.lstrip);
    f.boolean("rstrip", token.rstrip);
    f.boolean("normalized", token.normalized);
    TRACER_RETURN_IF_ERROR(f.status());
    token.id = static_cast<int32_t>(id);
    out.push_back(std::move(token));
  }
  return {};
}

// {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]"}},{"Sequence":{"id":"A"}},{"SpecialToken":..}]}
Status parse_template(const Json& json, const std::string& where, WordPieceOptions& options) {
  JsonFields f(json, where);
  const Json& single = f.array("single");
  TRACER_RETURN_IF_ERROR(f.status());
  const auto special = [&](size_t at, std::string& out) {
    if (at >= single.size() || !single[at].is_object() || !single[at].contains("SpecialToken")) return false;
    const Json& token = single[at]["SpecialToken"];
    if (!token.is_object() || !token.contains("id") || !token["id"].is_string()) return false;
    out = token["id"].get<std::string>();
    return true;
  };
  if (single.size() == 3 && special(0, options.start) && single[1].is_object() && single[1].contains("Sequence") &&
      special(2, options.end))
    return {};
  return bad_input(where + ": \"single\": expected a special token, the sequence and a special token");
}

// {"type":"BertProcessing","sep":["[SEP]",102],"cls":["[CLS]",101]}
Status parse_bert_processing(const Json& json, const std::string& where, WordPieceOptions& options) {
  JsonFields f(json, where);
  for (const auto& [key, out] : {std::pair("cls", &options.start), std::pair("sep", &options.end)}) {
    const Json& token = f.array(key);
    TRACER_RETURN_IF_ERROR(f.status());
    if (token.empty() || !token[0].is_string())
      return bad_input(where + ": \"" + key + "\": expected a token and its id");
    *out = token[0].get<std::string>();
  }
  return {};
}

}  // namespace

Result<TokenizerFiles> parse_tokenizer_json(std::string_view text, const std::string& name) {
  TokenizerFiles out;
  TRACER_ASSIGN_OR_RETURN(auto json, DocumentReader(name, out).read(text));
  JsonFields f(json, name);
  TRACER_RETURN_IF_ERROR(parse_normalizer(f.object("normalizer"), name + ": normalizer", out.options));
  TRACER_RETURN_IF_ERROR(check_type(f.object("pre_tokenizer"), name + ": pre_tokenizer", "BertPreTokenizer"));
  TRACER_RETURN_IF_ERROR(parse_model(f.object("model"), name + ": model", out));
  TRACER_RETURN_IF_ERROR(parse_added(f.array("added_tokens"), name + ": added_tokens", out.added));
  const Json& processor = f.object("post_processor");
  TRACER_RETURN_IF_ERROR(f.status());
  const std::string where = name + ": post_processor";
  if (check_type(processor, where, "BertProcessing").ok())
    TRACER_RETURN_IF_ERROR(parse_bert_processing(processor, where, out.options));
  else {
    TRACER_RETURN_IF_ERROR(check_type(processor, where, "TemplateProcessing"));
    TRACER_RETURN_IF_ERROR(parse_template(processor, where, out.options));
  }
  return out;
}

Result<TokenizerFiles> parse_vocabulary(std::string_view text, const Json& config, const std::string& name,
                                        const std::string& config_name) {
  TokenizerFiles out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view token = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (token.ends_with('\r')) token.remove_suffix(1);
    if (static_cast<int64_t>(out.vocabulary.size()) >= kMostTokens) return bad_input(name + ": too many tokens");
    out.vocabulary.emplace_back(token, static_cast<int32_t>(out.vocabulary.size()));
  }
  JsonFields f(config, config_name);
  WordPieceOptions& options = out.options;
  if (given(config, "do_lower_case")) f.boolean("do_lower_case", options.lowercase);
  if (given(config, "tokenize_chinese_chars")) f.boolean("tokenize_chinese_chars", options.handle_chinese_chars);
  options.strip_accents = options.lowercase;
  if (given(config, "strip_accents")) f.boolean("strip_accents", options.strip_accents);
  std::string mask = "[MASK]", pad = "[PAD]";
  for (const auto& [key, token] :
       {std::pair("unk_token", &options.unknown), std::pair("cls_token", &options.start),
        std::pair("sep_token", &options.end), std::pair("mask_token", &mask), std::pair("pad_token", &pad)})
    if (given(config, key)) {
      if (config[key].is_object()) {  // newer files write the token with its matching rules
        JsonFields t(config[key], config_name + ": " + key);
        t.text("content", *token);
        TRACER_RETURN_IF_ERROR(t.status());
      } else {
        f.text(key, *token);
      }
    }
  TRACER_RETURN_IF_ERROR(f.status());
  const std::set<std::string> special = {options.unknown, options.start, options.end, mask, pad};
  for (const auto& [token, id] : out.vocabulary)
    if (special.contains(token)) out.added.push_back({.content = token, .id = id});
  return out;
}

}  // namespace tracer
