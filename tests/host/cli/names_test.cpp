// What labels mean: their names or a file of descriptions, learned from where the log shows a label few times.
#include <filesystem>

#include "tests/host/cli_text_fixture.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

// Sixty labels, few rows each: their names are learned from, however the log's vectors came.
class CliNames : public CliText {
 protected:
  void SetUp() override {
    CliText::SetUp();
    if (IsSkipped()) return;
    std::string log, words;
    for (int i = 0; i < 420; ++i)
      log += Json{{"input", name(i % 60) + " " + name(i % 60) + " " + std::to_string(i)}, {"teacher", label(i % 60)}}
                 .dump() +
             "\n";
    for (int i = 0; i < 62; ++i) words += Json{{"input", name(i)}, {"teacher", label(i)}}.dump() + "\n";
    folder.write("few.jsonl", log);
    folder.write("words.jsonl", words);
  }
  static std::string name(int i) { return std::string(1, "aeiou"[i % 5]) + std::string(1, "bcdfghklmnprst"[i / 5]); }
  static std::string label(int i) { return name(i) + "_label"; }
  Outcome few(const std::string& policy, std::vector<std::string> more) {
    std::vector<std::string> args = {"fit", "few.jsonl", "--alpha", "0.6", "-o", policy};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome o = run(args);
    EXPECT_TRUE(o.code == 0 || o.code == 3) << o.err;
    return o;
  }
  Json described(const std::string& policy) { return manifest(policy)["run"].value("descriptions", Json()); }
};

// Descriptions that nothing was learned from do not make another look of the same fit.
TEST_F(CliText, UnusedNamesAreNoSecondLook) {
  ASSERT_EQ(fit({"--descriptions", "names"}).code, 0);
  const std::string first = slurp(folder.path("p/certificate.json"));
  EXPECT_EQ(manifest()["run"]["descriptions"], (Json{{"rows", 4}, {"labels_learned", 0}}));
  const Outcome again = fit({"--descriptions", "none"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(slurp(folder.path("p/certificate.json")), first);
}

TEST_F(CliNames, AreLearnedFromWhereALabelHasFewRows) {
  const Outcome o = few("p", {"--embed-model", "model"});
  EXPECT_TRUE(contains(o.err, "learned from descriptions of 60 labels")) << o.err;
  EXPECT_EQ(described("p"), (Json{{"rows", 60}, {"labels_learned", 60}}));
  few("none", {"--embed-model", "model", "--descriptions", "none"});
  EXPECT_TRUE(described("none").is_null());
  EXPECT_NE(slurp(folder.path("p/weights.safetensors")), slurp(folder.path("none/weights.safetensors")));

  // Vectors made before by the same encoder: the same bytes.
  ASSERT_EQ(run({"embed", "few.jsonl", "-o", "v.npy", "--embed-model", "model"}).code, 0);
  few("q", {"--embeddings", "v.npy"});
  EXPECT_EQ(slurp(folder.path("p/weights.safetensors")), slurp(folder.path("q/weights.safetensors")));
  EXPECT_EQ(slurp(folder.path("p/certificate.json")), slurp(folder.path("q/certificate.json")));

  // The encoder is gone: a warning, unless they were asked for.
  std::filesystem::rename(folder.path("model"), folder.path("elsewhere"));
  const Outcome without = few("r", {"--embeddings", "v.npy"});
  EXPECT_TRUE(contains(without.err, "warning: the labels' names are not learned from: ")) << without.err;
  EXPECT_EQ(slurp(folder.path("r/certificate.json")), slurp(folder.path("none/certificate.json")));
  const Outcome asked = run({"fit", "few.jsonl", "-o", "s", "--embeddings", "v.npy", "--descriptions", "names"});
  EXPECT_EQ(asked.code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder.path("s")));
  std::filesystem::rename(folder.path("other"), folder.path("model"));
  const Outcome other = run({"fit", "few.jsonl", "-o", "s", "--embeddings", "v.npy", "--descriptions", "names"});
  EXPECT_EQ(other.code, 1);
  EXPECT_TRUE(contains(other.err, "what was found in its place")) << other.err;
}

TEST_F(CliNames, AFileMaySayMore) {
  const Outcome o = few("p", {"--embed-model", "model", "--descriptions", "words.jsonl"});
  EXPECT_TRUE(contains(o.err, "--descriptions words.jsonl: 2 rows of labels that few.jsonl does not have left out"));
  EXPECT_EQ(described("p"), (Json{{"rows", 60}, {"labels_learned", 60}}));
  ASSERT_EQ(run({"embed", "words.jsonl", "-o", "w.npy", "--embed-model", "model"}).code, 0);
  ASSERT_EQ(run({"embed", "few.jsonl", "-o", "v.npy", "--embed-model", "model"}).code, 0);
  few("q", {"--embeddings", "v.npy", "--descriptions", "words.jsonl", "--descriptions-embeddings", "w.npy"});
  EXPECT_EQ(slurp(folder.path("p/weights.safetensors")), slurp(folder.path("q/weights.safetensors")));

  // A sweep takes them as well: they change what it finds.
  const auto swept = [&](const std::string& descriptions) {
    const Outcome s = run({"sweep", "few.jsonl", "--embeddings", "v.npy", "--seeds", "1", "--alphas", "0.2", "--split",
                           "rows", "--csv", "-", "--quiet", "--descriptions", descriptions});
    EXPECT_EQ(s.code, 0) << s.err;
    return s.out;
  };
  EXPECT_EQ(swept("words.jsonl"), swept("words.jsonl"));
  EXPECT_NE(swept("words.jsonl"), swept("none"));
  EXPECT_EQ(swept("names"), swept("names"));

  const struct {
    std::vector<std::string> args;
    int code;
    const char* expected;
  } cases[] = {
      {{"--descriptions", "absent.jsonl"}, 1, "absent.jsonl"},
      {{"--descriptions", "v.npy"}, 1, "v.npy"},
      {{"--descriptions", "words.jsonl", "--rejects", "words.jsonl"}, 2, "--descriptions"},
      {{"--descriptions-embeddings", "w.npy"}, 2, "--descriptions"},
      {{"--descriptions", "words.jsonl", "--descriptions-embeddings", "v.npy"}, 1, "v.npy: expected 62 vectors"},
  };
  for (const auto& c : cases) {
    std::vector<std::string> args = {"fit", "few.jsonl", "-o", "s", "--embeddings", "v.npy"};
    args.insert(args.end(), c.args.begin(), c.args.end());
    const Outcome bad = run(args);
    EXPECT_EQ(bad.code, c.code) << bad.err;
    EXPECT_TRUE(contains(bad.err, c.expected)) << bad.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("s")));
  }
  // Vectors of which nothing is known have no names, and none that could be had.
  std::filesystem::remove(folder.path("v.npy.meta.json"));
  EXPECT_TRUE(described((few("t", {"--embeddings", "v.npy"}), "t")).is_null());
  const Outcome asked = run({"fit", "few.jsonl", "-o", "s", "--embeddings", "v.npy", "--descriptions", "names"});
  EXPECT_EQ(asked.code, 1);
  EXPECT_TRUE(contains(asked.err, "nothing is known of what made the vectors of few.jsonl")) << asked.err;
}

}  // namespace
}  // namespace tracer
