// Text in: embed, fit, evaluate, route and inspect, with a tiny encoder made here.
#include <filesystem>

#include "host/encoder/encoder_identity.h"
#include "tests/host/cli_text_fixture.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

TEST_F(CliText, TextAllTheWay) {
  const Outcome fitted = fit();
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  EXPECT_TRUE(contains(fitted.err, "embedding: 1600 rows in ")) << fitted.err;
  const Json encoder = manifest()["encoders"][0];
  EXPECT_EQ(encoder["name"], "model");
  EXPECT_EQ(encoder["precision"], "float32");
  EXPECT_EQ(encoder["dimension"], 16);
  EXPECT_EQ(encoder["max_tokens"], 32);
  EXPECT_EQ(encoder["digest"].get<std::string>().size(), 64u);
  EXPECT_EQ(manifest()["traces"]["vectors"], "");

  folder.write("fresh.jsonl", text_log(500, 5000));
  const Outcome evaluated = run({"evaluate", "p", "fresh.jsonl", "--json", "--quiet"});  // the encoder's place is known
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(evaluated.err, "");
  const Json e = Json::parse(evaluated.out);
  EXPECT_GT(e["coverage"].get<double>(), 0.5);
  EXPECT_GT(e["teacher_agreement"].get<double>(), 0.9);
  const Outcome routed = run({"route", "p", "fresh.jsonl", "-o", "out.jsonl", "--json", "--quiet"});
  ASSERT_EQ(routed.code, 0) << routed.err;
  EXPECT_EQ(Json::parse(routed.out)["handled"], e["handled"]);
  const Outcome piped = run({"route", "p", "-", "-o", "-"}, folder.path("fresh.jsonl"));
  ASSERT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(piped.out, slurp(folder.path("out.jsonl")));

  const Outcome inspected = run({"inspect", "p", "--text", "card card card card 77", "--json"});
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  const Json i = Json::parse(inspected.out);
  EXPECT_EQ(i["text"], "card card card card 77");
  EXPECT_EQ(i["surrogate"], "answer card");
  EXPECT_EQ(run({"inspect", "p", "--text", ""}).code, 0);
}

// A job embeds the text that it routes, as the others do, under a pass that it tells of.
TEST_F(CliText, AJobOfTextIsRoutedAndPriced) {
  ASSERT_EQ(fit().code, 0);
  folder.write("fresh.jsonl", text_log(500, 5000));
  const Outcome routed = run({"route", "p", "fresh.jsonl", "-o", "out.jsonl", "--json", "--quiet"});
  ASSERT_EQ(routed.code, 0) << routed.err;
  const Outcome priced = run({"run", "p", "fresh.jsonl", "--dry-run", "--json"});
  ASSERT_EQ(priced.code, 0) << priced.err;
  EXPECT_EQ(Json::parse(priced.out)["handled"], Json::parse(routed.out)["handled"]);
  EXPECT_TRUE(contains(priced.err, "embedding: 500 rows in ")) << priced.err;
  const Outcome held = run({"run", "p", "fresh.jsonl", "-o", "held.jsonl", "--hold", "--llm-model", "m"});
  EXPECT_TRUE(held.code == 0 || held.code == 4) << held.err;
  EXPECT_TRUE(contains(held.err, "embedding: 500 rows in ")) << held.err;
}

TEST_F(CliText, ARegionShowsATextOfIts) {
  ASSERT_EQ(fit().code, 0);
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9999", "-o", "q", "--embed-model", "model"}).code, 3);  // refused
  folder.write("fresh.jsonl", text_log(500, 5000));
  const auto rows = json_lines(slurp(folder.path("fresh.jsonl")));
  const Outcome o = run({"diff", "q", "p", "--traces", "fresh.jsonl", "--json", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json regions = Json::parse(o.out)["same_rows"]["regions"];
  ASSERT_GE(regions.size(), 2u);
  for (const Json& region : regions) {
    const Json& row = rows[region["example"]["line"].get<size_t>() - 1];
    EXPECT_EQ(region["example"]["input"], row["input"]);
    EXPECT_EQ(region["example"]["id"], row["id"]);
    EXPECT_EQ(region["n_handled"]["before"], 0);
  }
  const Json& first = regions[0]["example"];
  const std::string shown = "; such as line " + first["line"].dump() + ", " + first["id"].get<std::string>() + ": " +
                            first["input"].get<std::string>() + "\n";
  const Outcome read = run({"diff", "q", "p", "--traces", "fresh.jsonl", "--quiet"});
  EXPECT_TRUE(contains(read.out, shown)) << shown << read.out;
}

TEST_F(CliText, EmbeddedOnceOrOnTheWayGivesTheSameBytes) {
  ASSERT_EQ(fit().code, 0);
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "v.npy", "--embed-model", "model"}).code, 0);
  const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "q", "--embeddings", "v.npy"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(slurp(folder.path("p/weights.safetensors")), slurp(folder.path("q/weights.safetensors")));
  EXPECT_EQ(slurp(folder.path("p/certificate.json")), slurp(folder.path("q/certificate.json")));
  EXPECT_EQ(manifest("q")["encoders"], manifest()["encoders"]);  // the note told it
  EXPECT_EQ(manifest("q")["traces"]["vectors"], "v.npy");
  // For any number of threads, too.
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "v3.npy", "--embed-model", "model", "--threads", "3"}).code, 0);
  EXPECT_EQ(slurp(folder.path("v3.npy")), slurp(folder.path("v.npy")));
}

TEST_F(CliText, AnotherEncoderIsRefused) {
  ASSERT_EQ(fit().code, 0);
  const std::string before = slurp(folder.path("p/manifest.json"));
  for (const char* command : {"route", "evaluate"}) {
    std::vector<std::string> args = {command, "p", "log.jsonl", "--embed-model", "other"};
    if (command == std::string("route")) args.insert(args.end(), {"-o", "out.jsonl"});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 1) << command;
    EXPECT_TRUE(contains(o.err, "another encoder") && contains(o.err, "expected model (float32, ") &&
                contains(o.err, "found other (float32, "))
        << o.err;
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.jsonl")));
  EXPECT_EQ(run({"inspect", "p", "--text", "card", "--embed-model", "other"}).code, 1);
  // Vectors that say who made them.
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "o.npy", "--embed-model", "other"}).code, 0);
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "b.npy", "--embed-model", "model", "--precision", "bfloat16"}).code, 0);
  for (const char* vectors : {"o.npy", "b.npy"}) {
    const Outcome o = run({"evaluate", "p", "log.jsonl", "--embeddings", vectors});
    EXPECT_EQ(o.code, 1) << vectors;
    EXPECT_TRUE(contains(o.err, "vectors of another encoder")) << o.err;
  }
  // The model changed where it lies; and it went away.
  write_tiny_encoder(folder, "model", {.hidden = 16, .heads = 4, .positions = 32, .seed = 5});
  EXPECT_TRUE(contains(run({"evaluate", "p", "log.jsonl"}).err, "another encoder"));
  std::filesystem::remove_all(folder.path("model"));
  ::setenv("TRACER_EMBED_MODEL", folder.path("gone").c_str(), 1);
  const Outcome gone = run({"evaluate", "p", "log.jsonl"});
  ::unsetenv("TRACER_EMBED_MODEL");
  EXPECT_EQ(gone.code, 1);
  EXPECT_TRUE(contains(gone.err, "gone")) << gone.err;
  EXPECT_EQ(slurp(folder.path("p/manifest.json")), before);
}

// A shape that every precision computes.
constexpr TinyEncoder kWhole = {.hidden = 64, .heads = 4, .intermediate = 128, .positions = 32, .spread = 0.12};

TEST_F(CliText, PrecisionIsPartOfTheEncoder) {
  write_tiny_encoder(folder, "model", kWhole);
  for (const std::string precision : {"bfloat16", "int8"}) {
    const auto embed = [&](const std::string& out, const std::string& as) {
      return run({"embed", "log.jsonl", "-o", out, "--embed-model", "model", "--precision", as});
    };
    const Outcome embedded = embed("b.npy", precision);
    if (embedded.code == 1 && contains(embedded.err, "AMX tiles or AVX-512 VNNI")) GTEST_SKIP() << embedded.err;
    ASSERT_EQ(embedded.code, 0) << embedded.err;
    EXPECT_EQ(Json::parse(slurp(folder.path("b.npy.meta.json")))["encoder"]["precision"], precision);
    std::filesystem::remove_all(folder.path("p"));
    const Outcome fitted = fit({"--precision", precision});
    ASSERT_EQ(fitted.code, 0) << fitted.err;
    EXPECT_EQ(manifest()["encoders"][0]["precision"], precision);
    // Text is embedded at the policy's precision, unasked: the same decisions as with vectors made at it.
    ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "a.jsonl"}).code, 0);
    ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "b.jsonl", "--embeddings", "b.npy"}).code, 0);
    EXPECT_EQ(slurp(folder.path("a.jsonl")), slurp(folder.path("b.jsonl")));
    for (const std::string other : {"float32", "bfloat16", "int8"}) {
      if (other == precision) continue;
      ASSERT_EQ(embed("f.npy", other).code, 0);
      EXPECT_NE(slurp(folder.path("f.npy")), slurp(folder.path("b.npy"))) << precision << " " << other;
      const Outcome o = run({"route", "p", "log.jsonl", "-o", "c.jsonl", "--embeddings", "f.npy"});
      EXPECT_EQ(o.code, 1) << precision << " " << other;
      EXPECT_TRUE(contains(o.err, "(" + precision + ", ") && contains(o.err, "(" + other + ", ")) << o.err;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path("c.jsonl")));
}

// TRACER_ISA takes the tile unit away, as on a processor without one: int8 gives the same bytes by VNNI,
// bfloat16 is libtorch's.
TEST_F(CliText, APromptIsPartOfTheEncoder) {
  const Outcome fitted = fit({"--embed-prompt", "text label "});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  EXPECT_TRUE(contains(fitted.err, ", prompt \"text label \")")) << fitted.err;
  EXPECT_EQ(manifest()["encoders"][0]["prompt"], "text label ");
  // Unasked on what follows: the same decisions as on vectors made with it, and others' vectors are refused.
  const auto embed = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> args = {"embed", "log.jsonl", "-o", out, "--embed-model", "model"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  };
  ASSERT_EQ(embed("with.npy", {"--embed-prompt", "text label "}).code, 0);
  ASSERT_EQ(embed("without.npy", {}).code, 0);
  EXPECT_NE(slurp(folder.path("with.npy")), slurp(folder.path("without.npy")));
  ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "text.jsonl"}).code, 0);
  ASSERT_EQ(run({"route", "p", "log.jsonl", "--embeddings", "with.npy", "-o", "vectors.jsonl"}).code, 0);
  EXPECT_EQ(slurp(folder.path("text.jsonl")), slurp(folder.path("vectors.jsonl")));
  const Outcome other = run({"route", "p", "log.jsonl", "--embeddings", "without.npy", "-o", "no.jsonl"});
  EXPECT_EQ(other.code, 1);
  EXPECT_TRUE(contains(other.err, "another encoder than p was fitted with")) << other.err;
  // By name.
  EXPECT_EQ(embed("named.npy", {"--embed-prompt-name", "query"}).code, 1);
  folder.write("model/config_sentence_transformers.json", Json{{"prompts", {{"query", "text label "}}}}.dump());
  ASSERT_EQ(embed("named.npy", {"--embed-prompt-name", "query"}).code, 0);
  EXPECT_EQ(slurp(folder.path("named.npy")), slurp(folder.path("with.npy")));
  ASSERT_EQ(embed("bare.npy", {}).code, 0);
  EXPECT_EQ(slurp(folder.path("bare.npy")), slurp(folder.path("without.npy")));
  EXPECT_EQ(embed("both.npy", {"--embed-prompt-name", "query", "--embed-prompt", "a"}).code, 2);
  EXPECT_EQ(fit({"--embeddings", "with.npy", "--embed-prompt", "a"}).code, 2);
}

TEST_F(CliText, WithoutTilesInt8IsTheSameAndBfloat16IsClose) {
  write_tiny_encoder(folder, "model", kWhole);
  const auto embed = [&](const std::string& precision, const std::string& out) {
    return run({"embed", "log.jsonl", "-o", out, "--embed-model", "model", "--precision", precision});
  };
  const Outcome with = embed("int8", "a.npy");
  ASSERT_EQ(embed("bfloat16", "c.npy").code, 0);
  ::setenv("TRACER_ISA", "avx512_vnni", 1);
  const Outcome without = embed("int8", "b.npy"), half = embed("bfloat16", "d.npy");
  ::unsetenv("TRACER_ISA");
  ASSERT_EQ(half.code, 0) << half.err;
  auto c = io::NpyReader::open(folder.path("c.npy")), d = io::NpyReader::open(folder.path("d.npy"));
  ASSERT_TRUE(c.ok() && d.ok());
  Matrix<float> x(c->rows(), c->cols()), y(c->rows(), c->cols());
  ASSERT_TRUE(c->read_rows(0, c->rows(), x.view()).ok() && d->read_rows(0, c->rows(), y.view()).ok());
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t j = 0; j < x.cols(); ++j) ASSERT_NEAR(x(i, j), y(i, j), 0.02) << i;
  if (with.code == 1 && contains(with.err, "AMX tiles or AVX-512 VNNI")) GTEST_SKIP() << with.err;
  ASSERT_EQ(with.code, 0) << with.err;
  if (without.code == 1 && contains(without.err, "AMX tiles or AVX-512 VNNI")) GTEST_SKIP() << without.err;
  ASSERT_EQ(without.code, 0) << without.err;
  EXPECT_EQ(slurp(folder.path("a.npy")), slurp(folder.path("b.npy")));
}

TEST_F(CliText, GivenVectorsMakeAPolicyThatTakesNoText) {
  write_log(folder, "given", {});
  ASSERT_EQ(run({"fit", "given.jsonl", "--alpha", "0.9", "-o", "p"}).code, 0);
  EXPECT_EQ(manifest()["encoders"][0], (Json{{"name", "unknown"}, {"dimension", 16}}));
  for (const std::vector<std::string>& args : {std::vector<std::string>{"route", "p", "log.jsonl", "-o", "out.jsonl"},
                                               {"evaluate", "p", "log.jsonl"},
                                               {"inspect", "p", "--text", "card"}}) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 1) << args[0];
    EXPECT_TRUE(contains(o.err, "takes no text")) << o.err;
  }
  // And a policy that knows its encoder takes vectors of which nothing is known, saying so.
  std::filesystem::rename(folder.path("p"), folder.path("g"));
  ASSERT_EQ(fit().code, 0);
  const Outcome o = run({"evaluate", "p", "given.jsonl"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.err, "nothing tells which encoder")) << o.err;
}

TEST_F(CliText, ABadLineKeepsItsVectorRow) {
  std::string text = "{\"input\": 5}\n" + text_log(40) + "not json\n\nnot json either\n" + text_log(3, 40) + "[]\n";
  folder.write("bad.jsonl", text);
  const Outcome o =
      run({"embed", "bad.jsonl", "-o", "bad.npy", "--embed-model", "model", "--max-bad-ratio", "0.5", "--json"});
  EXPECT_EQ(o.code, 4) << o.err;
  const Json summary = Json::parse(o.out);
  EXPECT_EQ(summary["rows"], 47);
  EXPECT_EQ(summary["bad_rows"], 4);
  EXPECT_EQ(json_lines(slurp(folder.path("bad.npy.rejects.jsonl"))).size(), 4u);
  folder.write("good.jsonl", text_log(43));
  ASSERT_EQ(run({"embed", "good.jsonl", "-o", "good.npy", "--embed-model", "model"}).code, 0);
  auto bad = io::NpyReader::open(folder.path("bad.npy")), good = io::NpyReader::open(folder.path("good.npy"));
  ASSERT_TRUE(bad.ok() && good.ok());
  ASSERT_EQ(bad->rows(), 47);
  Matrix<float> a(1, 16), b(1, 16);
  int64_t g = 0;
  for (int64_t i = 0; i < 47; ++i) {
    const bool is_bad = i == 0 || i == 41 || i == 42 || i == 46;
    EXPECT_EQ(bad->read_rows(i, 1, a.view()).ok(), !is_bad) << i;  // zeros are no vector
    if (is_bad) continue;
    ASSERT_TRUE(good->read_rows(g++, 1, b.view()).ok());
    for (int64_t d = 0; d < 16; ++d) ASSERT_NEAR(a(0, d), b(0, d), 1e-6) << i;
  }
  EXPECT_EQ(g, 43);
  // Too many bad rows: no file, and an earlier one stays.
  const std::string before = slurp(folder.path("bad.npy"));
  EXPECT_EQ(run({"embed", "bad.jsonl", "-o", "bad.npy", "--embed-model", "model"}).code, 1);
  EXPECT_EQ(slurp(folder.path("bad.npy")), before);
}

TEST_F(CliText, NotesThatDoNotBelongAreRefused) {
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "v.npy", "--embed-model", "model"}).code, 0);
  const std::string note = slurp(folder.path("v.npy.meta.json"));
  const auto fit_with_note = [&](const std::string& text) {
    folder.write("v.npy.meta.json", text);
    return run({"fit", "log.jsonl", "-o", "q", "--embeddings", "v.npy"});
  };
  for (size_t cut : {size_t{0}, size_t{1}, note.size() / 2})
    EXPECT_EQ(fit_with_note(note.substr(0, cut)).code, 1) << cut;
  for (const char* key : {"format", "format_version", "sha256", "encoder"}) {
    Json j = Json::parse(note);
    j.erase(key);
    const Outcome o = fit_with_note(j.dump());
    EXPECT_EQ(o.code, 1) << key;
    EXPECT_TRUE(contains(o.err, "v.npy.meta.json") && contains(o.err, key)) << o.err;
  }
  Json j = Json::parse(note);
  j["encoder"]["precision"] = "int3";
  EXPECT_TRUE(contains(fit_with_note(j.dump()).err, "int3"));
  // Other vectors under the same name.
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "w.npy", "--embed-model", "other"}).code, 0);
  std::filesystem::copy_file(folder.path("w.npy"), folder.path("v.npy"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(contains(fit_with_note(note).err, "speaks of other vectors"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("q")));
}

TEST_F(CliText, ProgressIsALineThatRedrawsItselfOnATerminalAndPlainLinesElsewhere) {
  if (std::system("script -qec true /dev/null > /dev/null 2>&1") != 0) GTEST_SKIP() << "no pseudo terminal can be had";
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  const auto on_terminal = [&](const std::string& more) {
    const int status =
        std::system(("cd " + folder.root() + " && script -qec '" + binary +
                     " embed log.jsonl -o v.npy --embed-model model" + more + "' typescript > screen.txt")
                        .c_str());
    EXPECT_EQ(status, 0);
    return slurp(folder.path("screen.txt"));
  };
  const std::string screen = on_terminal("");
  EXPECT_TRUE(contains(screen, "\rembedding: 1600 rows in ")) << screen;
  EXPECT_TRUE(contains(screen, "rows/s)\x1b[K\r\n")) << screen;
  EXPECT_EQ(on_terminal(" --quiet"), "");
  const Outcome plain = run({"embed", "log.jsonl", "-o", "v.npy", "--embed-model", "model"});
  EXPECT_FALSE(contains(plain.err, "\r") || contains(plain.err, "\x1b")) << plain.err;
  EXPECT_TRUE(contains(plain.err, "\nembedding: 1600 rows in ")) << plain.err;
}

TEST_F(CliText, APolicyFindsItsEncoderFromAnotherFolder) {
  ASSERT_EQ(fit().code, 0);
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  const int status = std::system(("cd / && " + binary + " evaluate " + folder.path("p") + " " +
                                  folder.path("log.jsonl") + " --quiet > " + folder.path("out.txt"))
                                     .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(CliText, MisuseIsAUsageError) {
  const std::vector<std::vector<std::string>> wrong = {
      {"embed", "log.jsonl"},
      {"embed", "log.jsonl", "-o", "-"},
      {"embed", "log.jsonl", "-o", "log.jsonl"},
      {"embed", "log.jsonl", "-o", "v.npy", "--rejects", "v.npy"},
      {"embed", "log.jsonl", "-o", "v.npy", "--precision", "int3"},
      {"fit", "log.jsonl", "--embeddings", "v.npy", "--embed-model", "model"},
      {"route", "p", "log.jsonl", "-o", "x", "--embeddings", "v.npy", "--embed-model", "model"},
      {"inspect", "p"},
      {"inspect", "p", "--row", "1"},
      {"inspect", "p", "--text", "a", "--row", "1", "--embeddings", "v.npy"},
      {"inspect", "p", "--row", "1", "--embeddings", "v.npy", "--embed-model", "model"},
  };
  for (const auto& args : wrong) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << args[0] << " " << args.back() << ": " << o.err;
    EXPECT_EQ(o.out, "");
  }
  write_log(folder, "given", {});
  EXPECT_EQ(run({"fit", "given.jsonl", "--precision", "bfloat16"}).code, 2);
  EXPECT_EQ(slurp(folder.path("log.jsonl")), text_log(1600));
}

TEST_F(CliText, WithoutTheModuleTextIsRefusedAndVectorsAreNot) {
  ::setenv("TRACER_TORCH_MODULE", folder.path("nothing.so").c_str(), 1);
  const Outcome text = fit();
  write_log(folder, "given", {});
  const Outcome vectors = run({"fit", "given.jsonl", "--alpha", "0.9", "-o", "v"});
  const Outcome doctor = run({"doctor", "--json"});
  ::unsetenv("TRACER_TORCH_MODULE");
  EXPECT_EQ(text.code, 1);
  EXPECT_TRUE(contains(text.err, "nothing.so")) << text.err;
  EXPECT_EQ(vectors.code, 0) << vectors.err;
  EXPECT_EQ(Json::parse(doctor.out)["libtorch"]["usable"], false);
  EXPECT_EQ(Json::parse(doctor.out)["libtorch_cuda"]["usable"], false);
  EXPECT_EQ(Json::parse(run({"doctor", "--json"}).out)["libtorch"]["usable"], true);
}

TEST_F(CliText, ANamedLibtorchIsTheOneOpened) {
  ::setenv("TRACER_TORCH_LIB", folder.path("elsewhere").c_str(), 1);
  const Outcome text = fit();
  ::unsetenv("TRACER_TORCH_LIB");
  EXPECT_EQ(text.code, 1);
  EXPECT_TRUE(contains(text.err, "TRACER_TORCH_LIB: " + folder.path("elsewhere"))) << text.err;
}

TEST_F(CliText, AFullDiskLeavesTheEarlierVectors) {
  ASSERT_EQ(run({"embed", "log.jsonl", "-o", "v.npy", "--embed-model", "model"}).code, 0);
  const std::string before = slurp(folder.path("v.npy")), note = slurp(folder.path("v.npy.meta.json"));
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  // 8 KiB is the largest file that may be written.
  const int status = std::system(("cd " + folder.root() + " && trap '' XFSZ; ulimit -f 8; " + binary +
                                  " embed log.jsonl -o v.npy --embed-model model 2> err.txt")
                                     .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(contains(slurp(folder.path("err.txt")), "v.npy")) << slurp(folder.path("err.txt"));
  EXPECT_EQ(slurp(folder.path("v.npy")), before);
  EXPECT_EQ(slurp(folder.path("v.npy.meta.json")), note);
  for (const auto& entry : std::filesystem::directory_iterator(folder.root()))
    EXPECT_FALSE(contains(entry.path().string(), ".tmp-")) << entry.path();
}

}  // namespace
}  // namespace tracer
