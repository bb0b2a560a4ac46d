// Outputs never destroy an input, and nothing is left where nothing was asked for.
#include <filesystem>

#include "host/io/safetensors.h"
#include "tests/host/artifact_example.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;
using io::contains;
using io::slurp;

class CliOutputs : public CliTest {};

TEST_F(CliOutputs, AnOutputOntoAnInputIsAUsageError) {
  fit_policy();
  fs::create_hard_link(folder.path("log.jsonl"), folder.path("hard"));
  fs::create_symlink("log.npy", folder.path("soft"));
  fs::create_symlink("both", folder.path("to_both"));  // to nothing yet
  fs::create_hard_link(folder.path("p/weights.safetensors"), folder.path("weights"));
  fs::create_symlink("p", folder.path("policy"));
  write_log(folder, "out.meta.json", {});  // traces out.meta.json.jsonl
  fs::rename(folder.path("out.meta.json.jsonl"), folder.path("out.meta.json"));
  const std::vector<std::vector<std::string>> wrong = {
      {"route", "p", "log.jsonl", "-o", "log.jsonl"},
      {"route", "p", "log.jsonl", "-o", "./p/../log.jsonl"},
      {"route", "p", "log.jsonl", "-o", "hard"},
      {"route", "p", "log.jsonl", "-o", "log.npy"},
      {"route", "p", "log.jsonl", "-o", "soft"},
      {"route", "p", "log.jsonl", "-o", "p/manifest.json"},
      {"route", "p", "log.jsonl", "-o", "p/new"},
      {"route", "policy", "log.jsonl", "-o", "p/new"},
      {"route", "p", "log.jsonl", "-o", "policy/new"},
      {"route", "p", "log.jsonl", "-o", "weights"},
      {"route", "p", "log.jsonl", "-o", "both", "--rejects", "both"},
      {"route", "p", "log.jsonl", "-o", "both", "--rejects", "to_both"},
      {"route", "p", "log.jsonl", "-o", "both", "--rejects", "both.meta.json"},
      {"route", "p", "log.jsonl", "-o", "both", "--rejects", "log.npy"},
      {"route", "p", "out.meta.json", "--embeddings", "log.npy", "-o", "out"},
      {"evaluate", "p", "log.jsonl", "--errors", "log.jsonl"},
      {"evaluate", "p", "log.jsonl", "--errors", "log.npy"},
      {"evaluate", "p", "log.jsonl", "--errors", "p/explain.json"},
      {"evaluate", "p", "log.jsonl", "--errors", "rejects.jsonl"},
      {"evaluate", "p", "log.jsonl", "--rejects", "log.npy"},
  };
  const std::string traces = slurp(folder.path("log.jsonl")), vectors = slurp(folder.path("log.npy"));
  for (const auto& args : wrong) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << args[4] << " " << args.back() << o.err;
    EXPECT_TRUE(contains(o.err, "name another file")) << args.back();
  }
  EXPECT_EQ(run({"route", "p", "-", "--embeddings", "log.npy", "-o", "log.jsonl"}, folder.path("log.jsonl")).code, 2);
  EXPECT_EQ(slurp(folder.path("log.jsonl")), traces);
  EXPECT_EQ(slurp(folder.path("log.npy")), vectors);
  EXPECT_FALSE(fs::exists(folder.path("both")));
  EXPECT_EQ(run({"report", "p"}).code, 0);
  // Devices hold nothing that could be lost.
  EXPECT_EQ(run({"evaluate", "p", "log.jsonl", "--errors", "/dev/null", "--rejects", "/dev/null"}).code, 0);
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "q"}).code, 0);
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "q"}).code, 0);  // onto its own earlier output
}

TEST_F(CliOutputs, SummariesOnlyBesideFilesAndNeverOfOtherRows) {
  fit_policy();
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "/dev/null"}).code, 0);
  EXPECT_FALSE(fs::exists("/dev/null.meta.json"));
  folder.write(".meta.json", "mine");
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", ""}).code, 1);
  EXPECT_EQ(slurp(folder.path(".meta.json")), "mine");
  ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0);
  ASSERT_TRUE(fs::exists(folder.path("out.meta.json")));
  // This run fails half-way: the summary of the earlier one must not stand beside its rows.
  write_log(folder, "fewer", {.rows = 1599});
  ASSERT_EQ(run({"route", "p", "log.jsonl", "--embeddings", "fewer.npy", "-o", "out"}).code, 1);
  EXPECT_FALSE(fs::exists(folder.path("out.meta.json")));
  // One that fails before it writes leaves both.
  ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0);
  ASSERT_EQ(run({"route", "p", "missing.jsonl", "-o", "out"}).code, 1);
  EXPECT_TRUE(fs::exists(folder.path("out.meta.json")));
  EXPECT_EQ(json_lines(slurp(folder.path("out"))).size(), 1600u);
}

TEST_F(CliOutputs, RouteJsonPrintsTheSummary) {
  fit_policy();
  const Outcome o = run({"route", "p", "log.jsonl", "-o", "out", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(Json::parse(o.out), Json::parse(slurp(folder.path("out.meta.json"))));
  EXPECT_EQ(Json::parse(o.out)["rows"], 1600);
  EXPECT_EQ(Json::parse(run({"route", "p", "log.jsonl", "-o", "/dev/null", "--json"}).out)["rows"], 1600);
  const Outcome both = run({"route", "p", "log.jsonl", "-o", "-", "--json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_EQ(both.out, "");
}

TEST_F(CliOutputs, RejectsThatCannotBeWrittenNameTheOption) {
  fit_policy();
  folder.write("bad.jsonl", slurp(folder.path("log.jsonl")) + "{}\n");
  write_log(folder, "more", {.rows = 1601});
  fs::create_directory(folder.path("rejects.jsonl"));
  const Outcome o = run({"evaluate", "p", "bad.jsonl", "--embeddings", "more.npy"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "--rejects"));
  EXPECT_EQ(run({"evaluate", "p", "bad.jsonl", "--embeddings", "more.npy", "--rejects", "elsewhere"}).code, 0);
}

TEST_F(CliOutputs, AFolderThatIsNotAPolicyIsNeverReplaced) {
  fit_policy();
  folder.write("p/notes.txt", "mine");
  const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--seed", "5"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "notes.txt"));
  EXPECT_EQ(slurp(folder.path("p/notes.txt")), "mine");
}

// Weights that are finite and give scores that are not.
TEST_F(CliOutputs, ScoresThatAreNoNumbersStopTheRun) {
  fit_policy();
  std::string weights = slurp(folder.path("p/weights.safetensors"));
  const auto file = io::SafetensorsFile::from_memory(weights, "weights");
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto coefficients = file->values<double>("stages.0.acceptor.coef", {kAcceptorFeatures + 1});
  ASSERT_TRUE(coefficients.ok());
  const std::string_view bytes(reinterpret_cast<const char*>(coefficients->data()), coefficients->size_bytes());
  const size_t at = weights.find(bytes);
  ASSERT_NE(at, std::string::npos);
  std::vector<double> huge(kAcceptorFeatures + 1);
  for (size_t i = 0; i < huge.size(); ++i) huge[i] = i % 2 == 0 ? 1.7e308 : -1.7e308;
  weights.replace(at, bytes.size(), reinterpret_cast<const char*>(huge.data()), bytes.size());
  forge(folder.path("p"), kWeights, weights);
  for (const auto& args : {std::vector<std::string>{"route", "p", "log.jsonl", "-o", "out"},
                           {"evaluate", "p", "log.jsonl"},
                           {"inspect", "p", "--row", "0", "--embeddings", "log.npy"}}) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 1) << args[0];
    EXPECT_TRUE(contains(o.err, "damaged")) << args[0];
  }
  EXPECT_FALSE(contains(slurp(folder.path("out")), "nan"));
}

}  // namespace
}  // namespace tracer
