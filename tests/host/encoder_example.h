// A tiny sentence encoder in Hugging Face layout, with random weights: what tests route text with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/maths/random.h"
#include "host/io/safetensors.h"
#include "tests/host/cli_process.h"

namespace tracer {

struct TinyEncoder {
  int64_t hidden = 8, heads = 2, layers = 2, intermediate = 12, positions = 16;
  std::string activation = "gelu";
  std::string pooling = "mean_tokens";
  std::string prefix = "";  // of the tensors' names
  bool vocab_txt = false;   // instead of tokenizer.json
  uint64_t seed = 1;
  double spread = 0.4;  // of the linear maps' weights; about 1 / sqrt(hidden) in trained models
};

inline const std::vector<std::string>& tiny_vocabulary() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> v = {"[PAD]", "[UNK]",  "[CLS]", "[SEP]", "[MASK]",
                                  "text",  "number", "label", "card",  "lost"};
    for (char c = '0'; c <= '9'; ++c) v.emplace_back(1, c), v.push_back(std::string("##") + c);
    for (char c = 'a'; c <= 'z'; ++c) v.emplace_back(1, c), v.push_back(std::string("##") + c);
    return v;
  }();
  return words;
}

inline Json tiny_tokenizer_json() {
  Json vocabulary = Json::object(), added = Json::array();
  for (size_t i = 0; i < tiny_vocabulary().size(); ++i) {
    vocabulary[tiny_vocabulary()[i]] = i;
    if (i < 5)
      added.push_back({{"id", i},
                       {"content", tiny_vocabulary()[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
  }
  const Json cls = {{"SpecialToken", {{"id", "[CLS]"}, {"type_id", 0}}}},
             sep = {{"SpecialToken", {{"id", "[SEP]"}, {"type_id", 0}}}},
             text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {{"added_tokens", added},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", nullptr},
            {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor", {{"type", "TemplateProcessing"}, {"single", {cls, text, sep}}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocabulary}}}};
}

// The weights, by the names of model.safetensors without a prefix.
struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

inline std::vector<TinyTensor> tiny_tensors(const TinyEncoder& e) {
  std::vector<TinyTensor> out;
  const Random random(e.seed, Stream::kRows);
  uint64_t counter = 0;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, double mean, double scale) {
    int64_t n = 1;
    for (int64_t s : shape) n *= s;
    TinyTensor& t = out.emplace_back(TinyTensor{name, std::move(shape), std::vector<float>(static_cast<size_t>(n))});
    for (float& v : t.values) v = static_cast<float>(mean + scale * random.normal(counter++));
  };
  const auto linear = [&](const std::string& name, int64_t to, int64_t from) {
    add(name + ".weight", {to, from}, 0, e.spread);
    add(name + ".bias", {to}, 0, 0.1);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", {e.hidden}, 1, 0.1);
    add(name + ".bias", {e.hidden}, 0, 0.1);
  };
  add("embeddings.word_embeddings.weight", {static_cast<int64_t>(tiny_vocabulary().size()), e.hidden}, 0, 1);
  add("embeddings.position_embeddings.weight", {e.positions, e.hidden}, 0, 0.3);
  add("embeddings.token_type_embeddings.weight", {2, e.hidden}, 0, 0.3);
  norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < e.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"query", "key", "value"}) linear(layer + "attention.self." + part, e.hidden, e.hidden);
    linear(layer + "attention.output.dense", e.hidden, e.hidden);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", e.intermediate, e.hidden);
    linear(layer + "output.dense", e.hidden, e.intermediate);
    norm(layer + "output.LayerNorm");
  }
  return out;
}

inline Json tiny_config(const TinyEncoder& e) {
  return {{"model_type", "bert"},
          {"hidden_size", e.hidden},
          {"num_hidden_layers", e.layers},
          {"num_attention_heads", e.heads},
          {"intermediate_size", e.intermediate},
          {"vocab_size", tiny_vocabulary().size()},
          {"max_position_embeddings", e.positions},
          {"layer_norm_eps", 1e-12},
          {"hidden_act", e.activation},
          {"position_embedding_type", "absolute"}};
}

// Writes folder/NAME; returns its path.
inline std::string write_tiny_encoder(const io::TempFolder& folder, const std::string& name,
                                      const TinyEncoder& e = {}) {
  std::filesystem::create_directories(folder.path(name + "/1_Pooling"));
  folder.write(name + "/config.json", tiny_config(e).dump());
  if (e.vocab_txt) {
    std::string text;
    for (const std::string& word : tiny_vocabulary()) text += word + "\n";
    folder.write(name + "/vocab.txt", text);
  } else {
    folder.write(name + "/tokenizer.json", tiny_tokenizer_json().dump());
  }
  folder.write(name + "/1_Pooling/config.json", Json{{"pooling_mode_" + e.pooling, true}}.dump());
  io::SafetensorsWriter writer;
  const std::vector<TinyTensor> tensors = tiny_tensors(e);
  for (const TinyTensor& t : tensors) writer.add<float>(e.prefix + t.name, t.shape, t.values);
  folder.write(name + "/model.safetensors", *writer.serialize());
  return folder.path(name);
}

// The program's own module, unless the build has none.
#ifdef TRACER_TEST_WITHOUT_TORCH
#define SKIP_WITHOUT_TORCH() GTEST_SKIP() << "this build has no libtorch (TRACER_TORCH=OFF)"
#else
#define SKIP_WITHOUT_TORCH() (void)0
#endif

}  // namespace tracer
