// What an encoder folder may hold, and what is refused by name.
#include "host/encoder/encoder_folder.h"

#include <fstream>

#include "tests/host/encoder_example.h"

namespace tracer {
namespace {

using io::contains;

class EncoderFolderTest : public testing::Test {
 protected:
  void SetUp() override { path = write_tiny_encoder(folder, "m"); }

  // Changes one JSON file of the folder.
  template <class Change>
  void edit(const std::string& file, Change change) {
    const std::string text = io::slurp(path + "/" + file);
    Json json = text.empty() ? Json::object() : Json::parse(text);
    change(json);
    folder.write("m/" + file, json.dump());
  }
  std::string digest() {
    auto read = read_encoder_folder(path);
    EXPECT_TRUE(read.ok()) << read.status().message();
    return read.ok() ? read->digest : "";
  }
  void expect_refused(const std::string& file, const std::string& why) {
    const auto read = read_encoder_folder(path);
    ASSERT_FALSE(read.ok()) << why;
    EXPECT_TRUE(contains(read.status().message(), file) && contains(read.status().message(), why))
        << read.status().message();
  }

  io::TempFolder folder;
  std::string path;
};

TEST_F(EncoderFolderTest, LengthLimitComesFromTheFirstFileThatGivesOne) {
  const auto limit = [&] { return read_encoder_folder(path)->max_tokens; };
  EXPECT_EQ(limit(), 16);  // config.json
  edit("tokenizer_config.json", [](Json& j) { j["model_max_length"] = 12; });
  EXPECT_EQ(limit(), 12);
  edit("sentence_bert_config.json", [](Json& j) { j["max_seq_length"] = 10; });
  EXPECT_EQ(limit(), 10);
  edit("sentence_bert_config.json", [](Json& j) { j["max_seq_length"] = nullptr; });
  EXPECT_EQ(limit(), 12);
  edit("tokenizer_config.json", [](Json& j) { j["model_max_length"] = 1e30; });  // "no limit"
  EXPECT_EQ(limit(), 16);
  edit("sentence_bert_config.json", [](Json& j) { j["max_seq_length"] = 1; });
  expect_refused("", "at least 2 tokens");
}

TEST_F(EncoderFolderTest, TheDigestCoversWhatDecidesVectorsAndNothingElse) {
  const std::string before = digest();
  edit("config.json", [](Json& j) { j["transformers_version"] = "9.9"; });
  edit("tokenizer_config.json", [](Json& j) { j["name_or_path"] = "elsewhere"; });
  EXPECT_EQ(digest(), before);
  std::vector<std::string> seen = {before};
  const auto differs = [&](const char* what) {
    const std::string now = digest();
    EXPECT_EQ(std::count(seen.begin(), seen.end(), now), 0) << what;
    seen.push_back(now);
  };
  edit("sentence_bert_config.json", [](Json& j) { j["max_seq_length"] = 9; });
  differs("length");
  edit("config.json", [](Json& j) { j["hidden_act"] = "relu"; });
  differs("activation");
  edit("config.json", [](Json& j) { j["num_attention_heads"] = 4; });
  differs("heads");
  edit("config.json", [](Json& j) { j["layer_norm_eps"] = 1e-5; });
  differs("epsilon");
  edit("1_Pooling/config.json", [](Json& j) { j = {{"pooling_mode_cls_token", true}}; });
  differs("pooling");
  edit("tokenizer.json", [](Json& j) { j["normalizer"]["lowercase"] = false; });
  differs("lowercase");
  edit("tokenizer.json", [](Json& j) { std::swap(j["model"]["vocab"]["card"], j["model"]["vocab"]["lost"]); });
  differs("vocabulary");
  write_tiny_encoder(folder, "m", {.seed = 2});
  differs("weights");
}

TEST_F(EncoderFolderTest, APromptIsNamedGivenOrTheDefault) {
  const std::string bare = digest();
  const auto read = [&](const PromptChoice& choice) { return read_encoder_folder(path, choice); };
  const auto prompt = [&](const PromptChoice& choice) {
    const auto found = read(choice);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? found->prompt : "failed";
  };
  EXPECT_EQ(prompt({}), "");
  EXPECT_EQ(prompt({.text = "card: ", .name = {}}), "card: ");
  edit("config_sentence_transformers.json", [](Json& j) {
    j["prompts"] = {{"query", "query: "}, {"document", ""}};
    j["default_prompt_name"] = nullptr;
  });
  EXPECT_EQ(prompt({}), "");
  EXPECT_EQ(digest(), bare);
  EXPECT_EQ(prompt({.text = {}, .name = "query"}), "query: ");
  EXPECT_EQ(prompt({.text = {}, .name = "document"}), "");
  EXPECT_EQ(prompt({.text = "other: ", .name = "query"}), "other: ");
  const std::string named = read({.text = {}, .name = "query"})->digest;
  EXPECT_NE(named, bare);
  EXPECT_NE(named, read({.text = "other: ", .name = {}})->digest);
  EXPECT_EQ(read({.text = "", .name = {}})->digest, bare);
  const auto unknown = read({.text = {}, .name = "passage"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), ErrorCode::kBadInput);
  EXPECT_TRUE(
      contains(unknown.status().message(),
               "config_sentence_transformers.json: \"prompts\": expected one named \"passage\", found query, document"))
      << unknown.status().message();
  edit("config_sentence_transformers.json", [](Json& j) { j["default_prompt_name"] = "query"; });
  EXPECT_EQ(prompt({}), "query: ");
  EXPECT_EQ(digest(), named);
  EXPECT_EQ(prompt({.text = "", .name = {}}), "");
  // The mean over the text's tokens alone is not computed.
  edit("1_Pooling/config.json", [](Json& j) { j["include_prompt"] = false; });
  expect_refused("1_Pooling/config.json", "include_prompt");
  EXPECT_EQ(prompt({.text = "", .name = {}}), "");
}

TEST_F(EncoderFolderTest, TheSameRulesFromEitherTokenizerFile) {
  const std::string other = write_tiny_encoder(folder, "v", {.vocab_txt = true});
  EXPECT_EQ(read_encoder_folder(other)->digest, digest());
  folder.write("v/tokenizer_config.json",
               Json{{"do_lower_case", false}, {"unk_token", {{"content", "[UNK]"}}}, {"cls_token", "[CLS]"}}.dump());
  EXPECT_NE(read_encoder_folder(other)->digest, digest());
}

TEST_F(EncoderFolderTest, HalfPrecisionTensorsAreWidened) {
  io::SafetensorsWriter writer;
  std::vector<TinyTensor> tensors = tiny_tensors({});
  std::vector<std::vector<uint16_t>> narrow;
  narrow.reserve(tensors.size());
  for (const TinyTensor& t : tensors) {
    std::vector<uint16_t>& bits = narrow.emplace_back();
    for (float v : t.values) bits.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16));
    writer.add_bytes(t.name, io::TensorType::kBF16, t.shape, std::as_bytes(std::span(bits)));
  }
  std::ofstream(path + "/model.safetensors", std::ios::binary) << *writer.serialize();
  auto read = read_encoder_folder(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  const HostMatrix<const float> word = read->weights.word;
  for (int64_t i = 0; i < word.rows * word.cols; ++i)
    ASSERT_EQ(word.data[i], std::bit_cast<float>(std::bit_cast<uint32_t>(tensors[0].values[i]) & 0xffff0000u));
}

TEST_F(EncoderFolderTest, WhatWouldChangeTheVectorsIsRefused) {
  struct Fault {
    const char* file;
    const char* why;
    std::function<void(Json&)> change;
  };
  const Fault faults[] = {
      {"config.json", "\"model_type\": expected \"bert\", found \"roberta\"",
       [](Json& j) { j["model_type"] = "roberta"; }},
      {"config.json", "hidden_act", [](Json& j) { j["hidden_act"] = "silu"; }},
      {"config.json", "position_embedding_type", [](Json& j) { j["position_embedding_type"] = "relative_key"; }},
      {"config.json", "multiple of num_attention_heads", [](Json& j) { j["num_attention_heads"] = 3; }},
      {"config.json", "multiple of num_attention_heads", [](Json& j) { j["num_attention_heads"] = 0; }},
      {"config.json", "hidden_size", [](Json& j) { j.erase("hidden_size"); }},
      {"config.json", "num_hidden_layers", [](Json& j) { j["num_hidden_layers"] = -1; }},
      {"config.json", "vocab_size", [](Json& j) { j["vocab_size"] = 5; }},
      {"model.safetensors", "encoder.layer.2", [](Json& j) { j["num_hidden_layers"] = 3; }},
      {"1_Pooling/config.json", "max_tokens",
       [](Json& j) {
         j = {{"pooling_mode_max_tokens", true}};
       }},
      {"1_Pooling/config.json", "and", [](Json& j) { j["pooling_mode_cls_token"] = true; }},
      {"1_Pooling/config.json", "found none", [](Json& j) { j = Json::array(); }},
      {"modules.json", "expected a module Pooling",
       [](Json& j) {
         j = {{{"type", "sentence_transformers.models.Transformer"}, {"path", ""}},
              {{"type", "sentence_transformers.models.Dense"}, {"path", "2_Dense"}}};
       }},
      {"modules.json", "found 4 modules",
       [](Json& j) {
         j = Json::array({1, 2, 3, 4});
       }},
      {"modules.json", "a folder below",
       [](Json& j) {
         j = {{{"type", "Transformer"}, {"path", "../elsewhere"}}, {{"type", "Pooling"}, {"path", "1_Pooling"}}};
       }},
      {"config_sentence_transformers.json", "default_prompt_name", [](Json& j) { j["default_prompt_name"] = 7; }},
      {"config_sentence_transformers.json", "expected one named \"query\", found none",
       [](Json& j) { j["default_prompt_name"] = "query"; }},
      {"config_sentence_transformers.json", "expected one named \"query\", found none",
       [](Json& j) {
         j = {{"default_prompt_name", "query"}, {"prompts", {{"query", 7}}}};
       }},
      {"tokenizer.json", "BertNormalizer", [](Json& j) { j["normalizer"]["type"] = "NFKC"; }},
      {"tokenizer.json", "BertPreTokenizer", [](Json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; }},
      {"tokenizer.json", "WordPiece", [](Json& j) { j["model"]["type"] = "BPE"; }},
      {"tokenizer.json", "special token", [](Json& j) { j["post_processor"]["single"].erase(2); }},
      {"tokenizer.json", "ids", [](Json& j) { j["model"]["vocab"]["card"] = -3; }},
      {"tokenizer.json", "added_tokens", [](Json& j) { j["added_tokens"][0].erase("content"); }},
      {"tokenizer", "[NONE]", [](Json& j) { j["model"]["unk_token"] = "[NONE]"; }},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(std::string(fault.file) + ": " + fault.why);
    std::filesystem::remove_all(path);
    write_tiny_encoder(folder, "m");
    const std::string file = std::string(fault.file);
    edit(file.ends_with(".json") && file != "model.safetensors" ? file
         : file == "tokenizer"                                  ? "tokenizer.json"
                                                                : "config.json",
         fault.change);
    expect_refused(fault.file, fault.why);
  }
}

TEST_F(EncoderFolderTest, DamagedAndMissingFilesAreNamed) {
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"}) {
    const std::string whole = io::slurp(path + "/" + file);
    folder.write(std::string("m/") + file, std::string_view(whole).substr(0, whole.size() / 2));
    expect_refused(file, "");
    folder.write(std::string("m/") + file, whole);
  }
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors"}) {
    const std::string whole = io::slurp(path + "/" + file);
    std::filesystem::remove(path + "/" + file);
    expect_refused(std::string(file) == "tokenizer.json" ? "vocab.txt" : file, "No such file");
    folder.write(std::string("m/") + file, whole);
  }
  path = folder.path("nowhere");
  expect_refused("nowhere", "No such file");
}

TEST_F(EncoderFolderTest, WeightsThatAreNoNumbersAreRefused) {
  std::vector<TinyTensor> tensors = tiny_tensors({});
  tensors[5].values[3] = std::numeric_limits<float>::quiet_NaN();
  io::SafetensorsWriter writer;
  for (const TinyTensor& t : tensors) writer.add<float>(t.name, t.shape, t.values);
  std::ofstream(path + "/model.safetensors", std::ios::binary) << *writer.serialize();
  expect_refused("model.safetensors", tensors[5].name);
}

}  // namespace
}  // namespace tracer
