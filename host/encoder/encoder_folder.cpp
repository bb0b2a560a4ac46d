#include "host/encoder/encoder_folder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>

#include "host/encoder/tokenizer_files.h"
#include "host/io/file.h"
#include "host/io/half.h"
#include "host/io/json_fields.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

using Json = JsonFields::Json;

constexpr int64_t kMostBytes = int64_t{1} << 28;  // of a text file of the folder
constexpr int64_t kMostSize = int64_t{1} << 20;   // of any dimension of the model but the vocabulary

bool exists(const std::string& path) {
  std::error_code ec;
  return std::filesystem::exists(path, ec);
}

Result<Json> read_json(const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, kMostBytes));
  return parse_json(text, path);
}

// An empty object where the file is absent.
Result<Json> read_optional_json(const std::string& path) {
  if (!exists(path)) return Json(Json::object());
  return read_json(path);
}

// Where the transformer and the pooling lie below the folder.
struct Modules {
  std::string transformer;
  std::string pooling = "1_Pooling";
};

Result<Modules> read_modules(const std::string& folder) {
  const std::string path = folder + "/modules.json";
  Modules modules;
  if (!exists(path)) return modules;
  TRACER_ASSIGN_OR_RETURN(auto json, read_json(path));
  if (!json.is_array()) return bad_input(path + ": expected an array, found " + json.type_name());
  const std::string order[] = {"Transformer", "Pooling", "Normalize"};
  if (json.size() < 2 || json.size() > 3)
    return bad_input(path + ": expected Transformer, Pooling and at most Normalize, found " +
                     std::to_string(json.size()) + " modules");
  for (size_t i = 0; i < json.size(); ++i) {
    JsonFields f(json[i], path);
    std::string type, where;
    f.text("type", type);
    f.text("path", where);
    TRACER_RETURN_IF_ERROR(f.status());
    if (type.substr(type.rfind('.') + 1) != order[i])
      return bad_input(path + ": expected a module " + order[i] + ", found \"" + type + "\"");
    if (where.find("..") != std::string::npos || where.starts_with("/"))
      return bad_input(path + ": \"path\": expected a folder below this one, found \"" + where + "\"");
    if (i == 0) modules.transformer = where;
    if (i == 1) modules.pooling = where;
  }
  return modules;
}

Status parse_pooling(const Json& json, const std::string& path, Pooling& pooling) {
  std::vector<std::string> modes;
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key.starts_with("pooling_mode_") && value.is_boolean() && value.get<bool>()) modes.push_back(key.substr(13));
      if (key == "pooling_mode" && value.is_string()) modes.push_back(value.get<std::string>());
    }
  }
  if (modes == std::vector<std::string>{"mean_tokens"} || modes == std::vector<std::string>{"mean"})
    pooling = Pooling::kMean;
  else if (modes == std::vector<std::string>{"cls_token"} || modes == std::vector<std::string>{"cls"})
    pooling = Pooling::kFirst;
  else
    return bad_input(path + ": expected the pooling mode mean_tokens or cls_token alone, found " +
                     (modes.empty() ? "none" : modes[0] + (modes.size() > 1 ? " and " + modes[1] : "")));
  return {};
}

Status parse_shape(const Json& json, const std::string& path, TransformerShape& shape, int64_t& layers) {
  JsonFields f(json, path);
  std::string type, activation, positions = "absolute";
  f.text("model_type", type);
  f.count("hidden_size", shape.hidden, kMostSize);
  f.count("num_hidden_layers", layers, 1000);
  f.count("num_attention_heads", shape.heads, kMostSize);
  f.count("intermediate_size", shape.intermediate, kMostSize);
  f.count("vocab_size", shape.vocabulary, int64_t{1} << 31);
  f.count("max_position_embeddings", shape.positions, kMostSize);
  f.number("layer_norm_eps", shape.norm_epsilon, 0, 1);
  f.text("hidden_act", activation);
  TRACER_RETURN_IF_ERROR(f.status());
  if (json.contains("position_embedding_type")) f.text("position_embedding_type", positions);
  TRACER_RETURN_IF_ERROR(f.status());
  if (type != "bert") return bad_input(path + ": \"model_type\": expected \"bert\", found \"" + type + "\"");
  if (positions != "absolute")
    return bad_input(path + ": \"position_embedding_type\": expected \"absolute\", found \"" + positions + "\"");
  if (shape.heads == 0 || shape.hidden == 0 || shape.hidden % shape.heads != 0)
    return bad_input(path + ": expected hidden_size to be a multiple of num_attention_heads, found " +
                     std::to_string(shape.hidden) + " and " + std::to_string(shape.heads));
  if (activation == "gelu")
    shape.activation = HiddenActivation::kGelu;
  else if (activation == "gelu_new" || activation == "gelu_pytorch_tanh")
    shape.activation = HiddenActivation::kGeluTanh;
  else if (activation == "relu")
    shape.activation = HiddenActivation::kRelu;
  else
    return bad_input(path + ": \"hidden_act\": expected gelu, gelu_new, gelu_pytorch_tanh or relu, found \"" +
                     activation + "\"");
  return {};
}

// The weights by name, as float32.
class WeightReader {
 public:
  WeightReader(const io::SafetensorsFile& file, const std::string& path, std::deque<std::vector<float>>& converted)
      : file_(file), path_(path), converted_(converted) {
    if (!file.has("embeddings.word_embeddings.weight") && file.has("bert.embeddings.word_embeddings.weight"))
      prefix_ = "bert.";
  }

  const Status& status() const { return status_; }

  HostMatrix<const float> matrix(const std::string& name, int64_t rows, int64_t cols) {
    return {values(name, {rows, cols}), rows, cols};
  }
  const float* vector(const std::string& name, int64_t size) { return values(name, {size}); }
  TransformerWeights::Linear linear(const std::string& name, int64_t out, int64_t in) {
    return {matrix(name + ".weight", out, in), vector(name + ".bias", out)};
  }
  TransformerWeights::Norm norm(const std::string& name, int64_t size) {
    return {vector(name + ".weight", size), vector(name + ".bias", size)};
  }

 private:
  const float* values(const std::string& short_name, const std::vector<int64_t>& shape) {
    if (!status_.ok()) return nullptr;
    const std::string name = prefix_ + short_name;
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) return fail(name, "there", "none");
    const io::TensorView& view = found->second;
    if (view.shape != shape) return fail(name, "of shape " + text(shape), text(view.shape));
    const float* out = floats(view);
    if (out == nullptr) return fail(name, "of type F32, F16, BF16 or F64", std::string(tensor_type_name(view.type)));
    const int64_t count = static_cast<int64_t>(view.data.size()) / io::tensor_type_bytes(view.type);
    if (!std::all_of(out, out + count, [](float v) { return std::isfinite(v); }))
      return fail(name, "of finite numbers", "NaN or infinity");
    return out;
  }

  template <class T, class Convert>
  const float* convert(const io::TensorView& view, Convert to_float) {
    const auto* in = reinterpret_cast<const T*>(view.data.data());
    std::vector<float>& out = converted_.emplace_back(view.data.size() / sizeof(T));
    std::transform(in, in + out.size(), out.begin(), to_float);
    return out.data();
  }

  const float* floats(const io::TensorView& view) {
    switch (view.type) {
      case io::TensorType::kF32:
        return reinterpret_cast<const float*>(view.data.data());
      case io::TensorType::kF16:
        return convert<uint16_t>(view, io::half_to_float);
      case io::TensorType::kBF16:
        return convert<uint16_t>(view, [](uint16_t v) { return std::bit_cast<float>(uint32_t{v} << 16); });
      case io::TensorType::kF64:
        return convert<double>(view, [](double v) { return static_cast<float>(v); });
      default:
        return nullptr;
    }
  }

  static std::string text(const std::vector<int64_t>& shape) {
    std::string out = "[";
    for (size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return out + "]";
  }
  const float* fail(const std::string& name, const std::string& expected, const std::string& found) {
    status_ = bad_input(path_ + ": tensor \"" + name + "\": expected one " + expected + ", found " + found);
    return nullptr;
  }

  const io::SafetensorsFile& file_;
  const std::string path_;
  std::deque<std::vector<float>>& converted_;
  std::string prefix_;
  Status status_;
};

Status read_weights(EncoderFolder& out, const std::string& path, int64_t layers) {
  const TransformerShape& s = out.shape;
  WeightReader read(out.file, path, out.converted);
  TransformerWeights& w = out.weights;
  w.word = read.matrix("embeddings.word_embeddings.weight", s.vocabulary, s.hidden);
  w.position = read.matrix("embeddings.position_embeddings.weight", s.positions, s.hidden);
  const std::string types = "embeddings.token_type_embeddings.weight";
  const auto found = out.file.tensors().find(out.file.has(types) ? types : "bert." + types);
  const int64_t rows = found == out.file.tensors().end() || found->second.shape.empty()
                           ? 1
                           : std::max<int64_t>(found->second.shape[0], 1);
  w.type = read.matrix(types, rows, s.hidden).data;
  w.embedding_norm = read.norm("embeddings.LayerNorm", s.hidden);
  for (int64_t i = 0; i < layers && read.status().ok(); ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    w.layers.push_back({.query = read.linear(layer + "attention.self.query", s.hidden, s.hidden),
                        .key = read.linear(layer + "attention.self.key", s.hidden, s.hidden),
                        .value = read.linear(layer + "attention.self.value", s.hidden, s.hidden),
                        .attention_output = read.linear(layer + "attention.output.dense", s.hidden, s.hidden),
                        .attention_norm = read.norm(layer + "attention.output.LayerNorm", s.hidden),
                        .up = read.linear(layer + "intermediate.dense", s.intermediate, s.hidden),
                        .down = read.linear(layer + "output.dense", s.hidden, s.intermediate),
                        .output_norm = read.norm(layer + "output.LayerNorm", s.hidden)});
  }
  return read.status();
}

// max_seq_length, else model_max_length, else the model's own; transformers writes 1e30 for "no limit".
Status find_max_tokens(const std::string& base, const Json& tokenizer_config, int64_t positions, int64_t& max_tokens) {
  max_tokens = positions;
  const std::string path = base + "/sentence_bert_config.json";
  TRACER_ASSIGN_OR_RETURN(auto sentence, read_optional_json(path));
  double limit = static_cast<double>(positions);
  const auto field = [&](const Json& json, const std::string& name, const char* key) {
    if (!json.is_object() || !json.contains(key) || json[key].is_null()) return false;
    JsonFields f(json, name);
    f.finite(key, limit);
    return f.status().ok();
  };
  if (!field(sentence, path, "max_seq_length"))
    field(tokenizer_config, base + "/tokenizer_config.json", "model_max_length");
  if (limit < static_cast<double>(positions)) max_tokens = static_cast<int64_t>(limit);
  if (max_tokens < 2)
    return bad_input(base + ": expected a length limit of at least 2 tokens, found " + std::to_string(max_tokens));
  return {};
}

Result<TokenizerFiles> read_tokenizer(const std::string& base, const Json& config) {
  const std::string path = base + "/tokenizer.json";
  if (exists(path)) {
    TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, kMostBytes));
    return parse_tokenizer_json(text, path);
  }
  const std::string vocabulary = base + "/vocab.txt";
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(vocabulary, kMostBytes));
  return parse_vocabulary(text, config, vocabulary, base + "/tokenizer_config.json");
}

// The prompt of that name in config_sentence_transformers.json.
Result<std::string> prompt_named(const Json& config, const std::string& path, const std::string& name) {
  const Json* prompts = config.is_object() && config.contains("prompts") ? &config["prompts"] : nullptr;
  if (prompts != nullptr && prompts->is_object() && prompts->contains(name) && (*prompts)[name].is_string())
    return (*prompts)[name].get<std::string>();
  std::string known;
  if (prompts != nullptr && prompts->is_object())
    for (const auto& [key, value] : prompts->items())
      if (value.is_string()) known += (known.empty() ? "" : ", ") + key;
  return bad_input(path + ": \"prompts\": expected one named \"" + name + "\", found " +
                   (known.empty() ? "none" : known));
}

Result<std::string> choose_prompt(const std::string& folder, const PromptChoice& choice) {
  if (choice.text) return *choice.text;
  const std::string path = folder + "/config_sentence_transformers.json";
  TRACER_ASSIGN_OR_RETURN(auto config, read_optional_json(path));
  if (choice.name) return prompt_named(config, path, *choice.name);
  if (!config.is_object() || !config.contains("default_prompt_name") || config["default_prompt_name"].is_null())
    return std::string();
  JsonFields f(config, path);
  std::string name;
  f.text("default_prompt_name", name);
  TRACER_RETURN_IF_ERROR(f.status());
  return prompt_named(config, path, name);
}

std::string digest_of(const EncoderFolder& e, const TokenizerFiles& files, const std::string& weights_sha256) {
  io::Sha256 tokens;
  for (const auto& [token, id] : files.vocabulary) tokens.update(std::to_string(id) + " " + token + "\n");
  for (const AddedToken& t : files.added)
    tokens.update("added " + std::to_string(t.id) + " " + t.content + (t.single_word ? " single_word" : "") +
                  (t.lstrip ? " lstrip" : "") + (t.rstrip ? " rstrip" : "") + (t.normalized ? " normalized" : "") +
                  "\n");
  const WordPieceOptions& o = files.options;
  const TransformerShape& s = e.shape;
  Json all = {{"weights", weights_sha256},
              {"tokens", tokens.hex()},
              {"clean_text", o.clean_text},
              {"handle_chinese_chars", o.handle_chinese_chars},
              {"strip_accents", o.strip_accents},
              {"lowercase", o.lowercase},
              {"unknown", o.unknown},
              {"prefix", o.prefix},
              {"start", o.start},
              {"end", o.end},
              {"max_input_chars_per_word", o.max_input_chars_per_word},
              {"max_tokens", e.max_tokens},
              {"heads", s.heads},
              {"layers", e.weights.layers.size()},
              {"norm_epsilon", s.norm_epsilon},
              {"activation", static_cast<int>(s.activation)},
              {"pooling", static_cast<int>(s.pooling)}};
  if (!e.prompt.empty()) all["prompt"] = e.prompt;
  return io::sha256_hex(all.dump(-1, ' ', true, Json::error_handler_t::replace));
}

}  // namespace

Result<EncoderFolder> read_encoder_folder(const std::string& path, const PromptChoice& choice) {
  if (!exists(path)) return io::errno_error(path, "cannot open", ENOENT);
  TRACER_ASSIGN_OR_RETURN(auto modules, read_modules(path));
  const std::string base = modules.transformer.empty() ? path : path + "/" + modules.transformer;
  TRACER_ASSIGN_OR_RETURN(auto prompt, choose_prompt(path, choice));
  TransformerShape shape;
  int64_t layers = 0;
  TRACER_ASSIGN_OR_RETURN(auto config, read_json(base + "/config.json"));
  TRACER_RETURN_IF_ERROR(parse_shape(config, base + "/config.json", shape, layers));
  const std::string pooling = path + "/" + modules.pooling + "/config.json";
  if (exists(pooling)) {
    TRACER_ASSIGN_OR_RETURN(auto json, read_json(pooling));
    TRACER_RETURN_IF_ERROR(parse_pooling(json, pooling, shape.pooling));
    if (!prompt.empty() && json.contains("include_prompt") && json["include_prompt"] == false)
      return bad_input(pooling +
                       ": \"include_prompt\": expected true (the mean is over a prompt's tokens too), found "
                       "false");
  }
  TRACER_ASSIGN_OR_RETURN(auto tokenizer_config, read_optional_json(base + "/tokenizer_config.json"));
  TRACER_ASSIGN_OR_RETURN(auto files, read_tokenizer(base, tokenizer_config));
  auto tokenizer = WordPiece::make(files.vocabulary, files.added, files.options);
  if (!tokenizer.ok()) return bad_input(base + ": tokenizer: " + tokenizer.status().message());
  if (tokenizer->vocab_size() > shape.vocabulary)
    return bad_input(base + "/config.json: \"vocab_size\": expected at least " +
                     std::to_string(tokenizer->vocab_size()) + " as the tokenizer has, found " +
                     std::to_string(shape.vocabulary));
  const std::string weights = base + "/model.safetensors";
  TRACER_ASSIGN_OR_RETURN(auto file, io::SafetensorsFile::open(weights));
  EncoderFolder out{.path = path,
                    .digest = "",
                    .max_tokens = 0,
                    .prompt = std::move(prompt),
                    .tokenizer = std::move(tokenizer).value(),
                    .shape = shape,
                    .weights = {},
                    .file = std::move(file),
                    .converted = {}};
  TRACER_RETURN_IF_ERROR(find_max_tokens(base, tokenizer_config, shape.positions, out.max_tokens));
  TRACER_RETURN_IF_ERROR(read_weights(out, weights, layers));
  out.digest = digest_of(out, files, io::sha256_hex(out.file.bytes()));
  return out;
}

}  // namespace tracer
