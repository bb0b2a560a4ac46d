// Vectors of text, against a naive double-precision transformer and against the reference vectors of the real model.
#include "host/encoder/encoder.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>

#include "host/encoder/encoder_folder.h"
#include "host/io/trace_reader.h"
#include "tests/host/encoder_example.h"

namespace tracer {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

// BERT, one sequence, straight from its definition.
class Oracle {
 public:
  explicit Oracle(const TinyEncoder& e) : e_(e) {
    for (TinyTensor& t : tiny_tensors(e)) tensors_[t.name] = std::move(t);
  }

  Row encode(const std::vector<int32_t>& ids) const {
    Rows x;
    for (size_t t = 0; t < ids.size(); ++t) {
      Row v(size(e_.hidden));
      for (size_t d = 0; d < v.size(); ++d)
        v[d] = at("embeddings.word_embeddings.weight", ids[t], d) + at("embeddings.position_embeddings.weight", t, d) +
               at("embeddings.token_type_embeddings.weight", 0, d);
      x.push_back(norm("embeddings.LayerNorm", v));
    }
    for (int64_t l = 0; l < e_.layers; ++l) x = layer("encoder.layer." + std::to_string(l) + ".", x);
    Row pooled(size(e_.hidden));
    for (size_t d = 0; d < pooled.size(); ++d) {
      if (e_.pooling == "cls_token") {
        pooled[d] = x[0][d];
      } else {
        for (const Row& v : x) pooled[d] += v[d] / static_cast<double>(x.size());
      }
    }
    double square = 0;
    for (double v : pooled) square += v * v;
    for (double& v : pooled) v /= std::sqrt(square);
    return pooled;
  }

 private:
  static size_t size(int64_t n) { return static_cast<size_t>(n); }
  double at(const std::string& name, size_t row, size_t col) const {
    const TinyTensor& t = tensors_.at(name);
    return t.values.at(row * size(t.shape.at(1)) + col);
  }
  double at(const std::string& name, size_t i) const { return tensors_.at(name).values.at(i); }

  Row linear(const std::string& name, const Row& x) const {
    const TinyTensor& w = tensors_.at(name + ".weight");
    const TinyTensor& b = tensors_.at(name + ".bias");
    Row y(size(w.shape[0]));
    for (size_t o = 0; o < y.size(); ++o) {
      y[o] = b.values.at(o);
      for (size_t i = 0; i < x.size(); ++i) y[o] += double{w.values.at(o * x.size() + i)} * x[i];
    }
    return y;
  }
  Row norm(const std::string& name, const Row& x) const {
    double mean = 0, variance = 0;
    for (double v : x) mean += v / static_cast<double>(x.size());
    for (double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    Row y(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      y[i] = (x[i] - mean) / std::sqrt(variance + 1e-12) * at(name + ".weight", i) + at(name + ".bias", i);
    return y;
  }
  double activate(double v) const {
    if (e_.activation == "relu") return std::max(v, 0.0);
    if (e_.activation == "gelu") return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
  }
  Rows layer(const std::string& name, const Rows& x) const {
    Rows q, k, v, out;
    for (const Row& row : x) {
      q.push_back(linear(name + "attention.self.query", row));
      k.push_back(linear(name + "attention.self.key", row));
      v.push_back(linear(name + "attention.self.value", row));
    }
    const size_t width = size(e_.hidden / e_.heads);
    for (size_t t = 0; t < x.size(); ++t) {
      Row context(size(e_.hidden));
      for (size_t h = 0; h < size(e_.heads); ++h) {
        Row weight(x.size());
        double sum = 0;
        for (size_t s = 0; s < x.size(); ++s) {
          double dot = 0;
          for (size_t d = h * width; d < (h + 1) * width; ++d) dot += q[t][d] * k[s][d];
          sum += weight[s] = std::exp(dot / std::sqrt(static_cast<double>(width)));
        }
        for (size_t s = 0; s < x.size(); ++s)
          for (size_t d = h * width; d < (h + 1) * width; ++d) context[d] += weight[s] / sum * v[s][d];
      }
      Row a = linear(name + "attention.output.dense", context);
      for (size_t d = 0; d < a.size(); ++d) a[d] += x[t][d];
      a = norm(name + "attention.output.LayerNorm", a);
      Row hidden = linear(name + "intermediate.dense", a);
      for (double& value : hidden) value = activate(value);
      Row y = linear(name + "output.dense", hidden);
      for (size_t d = 0; d < y.size(); ++d) y[d] += a[d];
      out.push_back(norm(name + "output.LayerNorm", y));
    }
    return out;
  }

  TinyEncoder e_;
  std::map<std::string, TinyTensor> tensors_;
};

std::vector<std::string> example_texts() {
  std::vector<std::string> texts = {"",
                                    " ",
                                    "card",
                                    "lost card",
                                    "Lost Card!",
                                    "text number 17",
                                    "[SEP] card",
                                    std::string(300, 'a') + " lost",
                                    "a b c d e f g h i j k l m n o p q r s t u v"};
  for (int i = 0; i < 400; ++i) texts.push_back("text " + std::string(i % 13, 'q') + " number " + std::to_string(i));
  return texts;
}

Result<Matrix<float>> embed(const std::string& path, Precision precision, int threads,
                            const std::vector<std::string>& texts) {
  auto encoder = open_encoder(path, precision, {threads});
  if (!encoder.ok()) return encoder.status();
  Matrix<float> out(static_cast<int64_t>(texts.size()), encoder->identity.dimension);
  const Status status = encoder->text->encode(texts, out.view());
  if (!status.ok()) return status;
  return out;
}

struct Case {
  const char* name;
  TinyEncoder encoder;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// The oracle's row for each text, by the tokenizer of the folder that the encoder was written to.
std::vector<Row> definition_of(const std::string& path, const TinyEncoder& e, const std::vector<std::string>& texts) {
  auto read = read_encoder_folder(path);
  EXPECT_TRUE(read.ok()) << read.status().message();
  if (!read.ok()) return {};
  EXPECT_EQ(read->max_tokens, e.positions);
  const Oracle oracle(e);
  std::vector<Row> rows;
  for (const std::string& text : texts) {
    std::vector<int32_t> ids;
    read->tokenizer.encode(text, read->max_tokens, ids);
    rows.push_back(oracle.encode(ids));
  }
  return rows;
}

class EncoderOracle : public testing::TestWithParam<Case> {};

TEST_P(EncoderOracle, VectorsAreThoseOfTheDefinition) {
  SKIP_WITHOUT_TORCH();
  const TinyEncoder& e = GetParam().encoder;
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m", e);
  const std::vector<std::string> texts = example_texts();
  const std::vector<Row> all_expected = definition_of(path, e, texts);
  ASSERT_EQ(all_expected.size(), texts.size());
  for (const auto& [precision, tolerance] :
       {std::pair(Precision::kFloat32, 5e-6), std::pair(Precision::kBfloat16, 0.06)}) {
    const auto found = embed(path, precision, 2, texts);
    ASSERT_TRUE(found.ok()) << found.status().message();
    double worst = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      const Row& expected = all_expected[i];
      for (size_t d = 0; d < expected.size(); ++d) {
        const double difference = std::abs((*found)(static_cast<int64_t>(i), static_cast<int64_t>(d)) - expected[d]);
        ASSERT_TRUE(difference <= tolerance)
            << to_string(precision) << " \"" << texts[i] << "\" " << d << " " << difference;
        worst = std::max(worst, difference);
      }
    }
    // Each precision is the one that ran: bfloat16 cannot be this close, float32 cannot be this far.
    EXPECT_EQ(worst > 1e-4, precision == Precision::kBfloat16) << worst;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EncoderOracle,
    testing::Values(Case{"plain", {}}, Case{"relu", {.activation = "relu"}},
                    Case{"gelu_tanh", {.activation = "gelu_new"}}, Case{"first_token", {.pooling = "cls_token"}},
                    Case{"prefixed", {.prefix = "bert."}}, Case{"vocabulary_file", {.vocab_txt = true}},
                    Case{"one_head_wide", {.hidden = 24, .heads = 1, .layers = 1, .intermediate = 7, .positions = 5}},
                    Case{"no_layer", {.layers = 0}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Encoder, SameBytesForAnyNumberOfThreads) {
  SKIP_WITHOUT_TORCH();
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m");
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) texts.push_back("text " + std::string(i * 7 % 11, 'x') + std::to_string(i));
  const auto one = embed(path, Precision::kFloat32, 1, texts);
  ASSERT_TRUE(one.ok()) << one.status().message();
  for (const int threads : {2, 3, 8}) {
    const auto many = embed(path, Precision::kFloat32, threads, texts);
    ASSERT_TRUE(many.ok()) << many.status().message();
    EXPECT_EQ(std::memcmp(one->data(), many->data(), sizeof(float) * static_cast<size_t>(one->size())), 0) << threads;
  }
}

// int8 has no other way to be computed.
bool without_tiles(const Status& status) {
  return status.code() == ErrorCode::kBadInput &&
         status.message().find("AMX tiles or AVX-512 VNNI") != std::string::npos;
}

// Shapes that the tile unit computes: sizes in 64s, heads in 16s. The weights' spread, 1 / sqrt(inputs), keeps a map's
// output as large as its input: far above BERT's initialisation (0.02), where the layers would change little.
class EncoderTiles : public testing::TestWithParam<Case> {};

TEST_P(EncoderTiles, VectorsAreCloseToTheDefinition) {
  SKIP_WITHOUT_TORCH();
  const TinyEncoder& e = GetParam().encoder;
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m", e);
  const std::vector<std::string> texts = example_texts();
  const std::vector<Row> all_expected = definition_of(path, e, texts);
  ASSERT_EQ(all_expected.size(), texts.size());
  for (const auto& [precision, smallest] :
       {std::pair(Precision::kBfloat16, 0.999), std::pair(Precision::kInt8, 0.99)}) {
    const auto found = embed(path, precision, 2, texts);
    if (!found.ok() && without_tiles(found.status())) GTEST_SKIP() << found.status().message();
    ASSERT_TRUE(found.ok()) << found.status().message();
    double worst = 1;
    for (size_t i = 0; i < texts.size(); ++i) {
      const Row& expected = all_expected[i];
      double cosine = 0;
      for (size_t d = 0; d < expected.size(); ++d)
        cosine += expected[d] * (*found)(static_cast<int64_t>(i), static_cast<int64_t>(d));
      ASSERT_TRUE(cosine >= smallest) << to_string(precision) << " \"" << texts[i] << "\" " << cosine;
      worst = std::min(worst, cosine);
    }
    if (e.layers == 0) continue;
    EXPECT_LT(worst, 1 - 1e-7) << to_string(precision) << ": this is float32";
  }
}

// Neither its neighbours nor the threads change a row, and a batch of any number of tokens gives it.
TEST_P(EncoderTiles, ARowIsTheSameBytesInAnyCompany) {
  SKIP_WITHOUT_TORCH();
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m", GetParam().encoder);
  const std::vector<std::string> texts = example_texts();
  for (const Precision precision : {Precision::kBfloat16, Precision::kInt8}) {
    const auto together = embed(path, precision, 3, texts);
    if (!together.ok() && without_tiles(together.status())) GTEST_SKIP() << together.status().message();
    ASSERT_TRUE(together.ok()) << together.status().message();
    auto encoder = open_encoder(path, precision, {1});
    ASSERT_TRUE(encoder.ok());
    for (size_t i = 0; i < texts.size(); i += 7) {
      const size_t count = std::min<size_t>(1 + i % 5, texts.size() - i);
      Matrix<float> few(static_cast<int64_t>(count), encoder->identity.dimension);
      ASSERT_TRUE(encoder->text->encode({texts.data() + i, count}, few.view()).ok());
      EXPECT_EQ(std::memcmp(few.data(), together->row(static_cast<int64_t>(i)),
                            sizeof(float) * static_cast<size_t>(few.size())),
                0)
          << to_string(precision) << " row " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EncoderTiles,
    testing::Values(
        Case{"gelu", {.hidden = 64, .heads = 4, .intermediate = 128, .spread = 0.12}},
        Case{
            "gelu_tanh_wide_head",
            {.hidden = 128, .heads = 2, .intermediate = 64, .positions = 40, .activation = "gelu_new", .spread = 0.09}},
        Case{"relu_first_token",
             {.hidden = 64,
              .heads = 1,
              .layers = 1,
              .intermediate = 192,
              .positions = 17,
              .activation = "relu",
              .pooling = "cls_token",
              .spread = 0.12}},
        Case{"no_layer", {.hidden = 64, .layers = 0, .intermediate = 64}}),
    [](const auto& info) { return std::string(info.param.name); });

// Device 100 is on no machine, and int8 on no GPU.
TEST(Encoder, WithoutTheGpuItIsOnTheCpuAndSaysWhy) {
  SKIP_WITHOUT_TORCH();
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m", {.hidden = 64, .heads = 4, .intermediate = 128});
  const std::vector<std::string> texts = example_texts();
  for (const Precision precision : {Precision::kFloat32, Precision::kInt8}) {
    const auto here = embed(path, precision, 1, texts);
    if (!here.ok() && precision == Precision::kInt8 && without_tiles(here.status())) continue;
    ASSERT_TRUE(here.ok()) << here.status().message();
    auto encoder = open_encoder(path, precision, {1, "cuda:100"});
    ASSERT_TRUE(encoder.ok()) << encoder.status().message();
    EXPECT_EQ(encoder->place.find("on the CPU: "), 0u) << encoder->place;
    EXPECT_GT(encoder->place.size(), 25u) << encoder->place;
    Matrix<float> there(here->rows(), here->cols());
    ASSERT_TRUE(encoder->text->encode(texts, there.view()).ok());
    EXPECT_EQ(std::memcmp(there.data(), here->data(), sizeof(float) * static_cast<size_t>(there.size())), 0);
    EXPECT_EQ(open_encoder(path, precision, {1, "cpu"})->place, "");
  }
}

TEST(Encoder, APromptIsTextInFront) {
  SKIP_WITHOUT_TORCH();
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m", {});
  const std::vector<std::string> texts = example_texts();
  std::vector<std::string> prompted;
  for (const std::string& text : texts) prompted.push_back("lost number " + text);
  const auto expected = embed(path, Precision::kFloat32, 2, prompted);
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  auto encoder = open_encoder(path, Precision::kFloat32, {2}, nullptr, {.text = "lost number ", .name = {}});
  ASSERT_TRUE(encoder.ok()) << encoder.status().message();
  EXPECT_EQ(encoder->identity.prompt, "lost number ");
  Matrix<float> found(expected->rows(), expected->cols());
  ASSERT_TRUE(encoder->text->encode(texts, found.view()).ok());
  EXPECT_EQ(std::memcmp(found.data(), expected->data(), sizeof(float) * static_cast<size_t>(found.size())), 0);
  // A policy's encoder keeps its prompt, and a policy without one gets none.
  auto again = open_encoder_of(encoder->identity, "", {1}, "p");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->identity.prompt, "lost number ");
  folder.write("m/config_sentence_transformers.json",
               Json{{"prompts", {{"query", "lost number "}}}, {"default_prompt_name", "query"}}.dump());
  auto by_default = open_encoder(path, Precision::kFloat32, {1});
  ASSERT_TRUE(by_default.ok()) << by_default.status().message();
  EXPECT_TRUE(by_default->identity.makes_vectors_of(encoder->identity));
  EncoderIdentity none = encoder->identity;
  none.prompt = "";
  none.digest = read_encoder_folder(path, {.text = "", .name = {}})->digest;
  auto without = open_encoder_of(none, "", {1}, "p");
  ASSERT_TRUE(without.ok()) << without.status().message();
  EXPECT_EQ(without->identity.prompt, "");
}

TEST(Encoder, Int8OfAShapeWithoutTilesIsRefused) {
  SKIP_WITHOUT_TORCH();
  io::TempFolder folder;
  const std::string path = write_tiny_encoder(folder, "m");
  const auto encoder = open_encoder(path, Precision::kInt8, {1});
  ASSERT_FALSE(encoder.ok());
  EXPECT_EQ(encoder.status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(encoder.status().message().find(path + ": precision int8"), 0u) << encoder.status().message();
}

TEST(Encoder, TheRealModelGivesTheReferenceVectors) {
  SKIP_WITHOUT_TORCH();
  const char* model = std::getenv("TRACER_TEST_MODEL");
  const char* data = std::getenv("TRACER_TEST_DATA");
  if (model == nullptr || data == nullptr) GTEST_SKIP() << "needs TRACER_TEST_MODEL and TRACER_TEST_DATA";
  for (const std::string name : {"banking77_test", "snli_test"}) {
    auto reference = io::NpyReader::open(std::string(data) + "/" + name + "_first512_f32.npy");
    ASSERT_TRUE(reference.ok()) << reference.status().message();
    Matrix<float> expected(reference->rows(), reference->cols());
    ASSERT_TRUE(reference->read_rows(0, reference->rows(), expected.view()).ok());
    auto reader = io::TraceReader::open(std::string(data) + "/" + name + ".jsonl", {});
    ASSERT_TRUE(reader.ok());
    std::vector<std::string> texts;
    while (static_cast<int64_t>(texts.size()) < expected.rows()) {
      const auto kind = reader->next();
      ASSERT_TRUE(kind.ok() && *kind == io::RowKind::kRow);
      texts.emplace_back(reader->row().input);
    }
    for (const auto& [precision, smallest_cosine] :
         {std::pair(Precision::kFloat32, 0.999999), std::pair(Precision::kBfloat16, 0.999),
          std::pair(Precision::kInt8, 0.99)}) {
      const auto found = embed(model, precision, 2, texts);
      if (!found.ok() && without_tiles(found.status())) continue;  // EncoderTiles skips, visibly
      ASSERT_TRUE(found.ok()) << found.status().message();
      double worst = 0;
      for (int64_t i = 0; i < expected.rows(); ++i) {
        double cosine = 0;
        for (int64_t d = 0; d < expected.cols(); ++d) {
          const double difference = std::abs(double{(*found)(i, d)} - double{expected(i, d)});
          ASSERT_TRUE(precision != Precision::kFloat32 || difference <= 1e-5) << name << " " << i << " " << difference;
          worst = std::max(worst, difference);
          cosine += double{(*found)(i, d)} * double{expected(i, d)};
        }
        ASSERT_TRUE(cosine >= smallest_cosine) << name << " row " << i << " " << to_string(precision) << " " << cosine;
      }
      RecordProperty(name + "_" + to_string(precision), std::to_string(worst));
    }
  }
}

// Short texts lean on few tokens, some of which carry one very large number: what int8 finds hardest.
TEST(Encoder, LowerPrecisionsKeepTheHardestTextsOfTheRealModel) {
  SKIP_WITHOUT_TORCH();
  const char* model = std::getenv("TRACER_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "needs TRACER_TEST_MODEL";
  const std::vector<std::string> texts = {"",
                                          "thanks",
                                          "thank you!",
                                          "thanks so much",
                                          "that's wrong",
                                          "great, thanks!",
                                          "WHAT IS THE REASON FOR THAT",
                                          "I didn't buy this twice",
                                          "There is not an image here. [SEP] No image can be seen."};
  const auto exact = embed(model, Precision::kFloat32, 1, texts);
  ASSERT_TRUE(exact.ok()) << exact.status().message();
  for (const auto& [precision, smallest] :
       {std::pair(Precision::kBfloat16, 0.999), std::pair(Precision::kInt8, 0.99)}) {
    const auto found = embed(model, precision, 1, texts);
    if (!found.ok() && without_tiles(found.status())) GTEST_SKIP() << found.status().message();
    ASSERT_TRUE(found.ok()) << found.status().message();
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      double cosine = 0;
      for (int64_t d = 0; d < exact->cols(); ++d) cosine += double{(*found)(row, d)} * double{(*exact)(row, d)};
      EXPECT_TRUE(cosine >= smallest) << to_string(precision) << " \"" << texts[i] << "\" " << cosine;
    }
  }
}

}  // namespace
}  // namespace tracer
