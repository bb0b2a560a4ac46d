// --embed-cache with an encoder here: the same bytes as without, whatever the cache holds.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "host/io/sqlite.h"
#include "tests/host/cli_process.h"
#include "tests/host/cli_run_fixture.h"
#include "tests/host/encoder_example.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliEmbedCache : public CliTest {
 protected:
  static constexpr int kRows = 5000;  // a whole group, and a part of one

  void SetUp() override {
    SKIP_WITHOUT_TORCH();
    write_tiny_encoder(folder, "model", {.hidden = 16, .heads = 4, .positions = 32});
    write_tiny_encoder(folder, "other", {.hidden = 16, .heads = 4, .positions = 32, .seed = 9});
    folder.write("log.jsonl", text_log(kRows));
  }
  // The words tell the label, of which mock_llm has the same; in every sixth row they tell nothing.
  static std::string text_log(int rows, int first = 0) {
    const std::string words[] = {"card", "lost", "label", "text"};
    const Random random(3, Stream::kRows);
    std::string out;
    for (int i = first; i < first + rows; ++i) {
      const auto draw = [&](int use, int n) {
        return static_cast<int>(random.below(static_cast<uint64_t>(4 * i + use), static_cast<uint64_t>(n)));
      };
      const int label = draw(0, 4);
      const bool clear = draw(1, 6) > 0;
      std::string input = "number " + std::to_string(draw(2, 1000));
      for (int w = 1 + draw(3, 8); w >= 0; --w) input += " " + words[clear ? label : (i + w) % 4];
      out += Json{{"id", "r" + std::to_string(i)}, {"input", input}, {"teacher", "label " + std::to_string(label)}}
                 .dump() +
             "\n";
    }
    return out;
  }
  Outcome embed(const std::string& out, std::vector<std::string> more = {}, const std::string& in = "log.jsonl") {
    more.insert(more.begin(), {"embed", in, "-o", out, "--embed-model", "model", "--json"});
    return run(more);
  }
  // Embedded, and from the cache.
  static std::pair<int64_t, int64_t> counts(const Outcome& o) {
    EXPECT_EQ(o.code, 0) << o.err;
    if (o.code != 0) return {-1, -1};
    const Json j = Json::parse(o.out);
    return {j["embedded"], j["from_cache"]};
  }
  using Pair = std::pair<int64_t, int64_t>;
  const std::vector<std::string> cached_ = {"--embed-cache", "c.db"};
};

TEST_F(CliEmbedCache, ColdAndWarmGiveTheBytesOfNoCache) {
  EXPECT_EQ(counts(embed("v.npy")), Pair(kRows, 0));
  EXPECT_EQ(counts(embed("cold.npy", cached_)), Pair(kRows, 0));
  EXPECT_EQ(counts(embed("warm.npy", cached_)), Pair(0, kRows));
  for (const char* name : {"cold.npy", "warm.npy"}) EXPECT_EQ(slurp(folder.path(name)), slurp(folder.path("v.npy")));
  EXPECT_EQ(slurp(folder.path("warm.npy.meta.json")), slurp(folder.path("v.npy.meta.json")));
  // By the environment, and by fit.
  ::setenv("TRACER_EMBED_CACHE", "c.db", 1);
  EXPECT_EQ(counts(embed("w.npy", {"--threads", "3"})), Pair(0, kRows));
  const Outcome fitted = run({"fit", "log.jsonl", "--alpha", "0.8", "-o", "p", "--embed-model", "model"});
  ::unsetenv("TRACER_EMBED_CACHE");
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  EXPECT_TRUE(contains(fitted.err, "5000 vectors from the cache, 0 made")) << fitted.err;
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "-o", "q", "--embed-model", "model"}).code, 0);
  for (const char* part : {"/weights.safetensors", "/certificate.json", "/ledger.json"})
    EXPECT_EQ(slurp(folder.path("p" + std::string(part))), slurp(folder.path("q" + std::string(part)))) << part;
}

TEST_F(CliEmbedCache, WhateverItHoldsTheBytesAreThoseOfNoCache) {
  ASSERT_EQ(embed("v.npy", cached_).code, 0);
  // A log that has grown: its first group is there.
  folder.write("grown.jsonl", text_log(kRows + 700));
  EXPECT_EQ(counts(embed("g.npy", cached_, "grown.jsonl")), Pair(kRows + 700 - 4096, 4096));
  ASSERT_EQ(embed("g0.npy", {}, "grown.jsonl").code, 0);
  EXPECT_EQ(slurp(folder.path("g.npy")), slurp(folder.path("g0.npy")));
  // The same texts in other groups: last bits may differ, so nothing is taken.
  folder.write("shifted.jsonl", text_log(kRows - 1, 1));
  EXPECT_EQ(counts(embed("s.npy", cached_, "shifted.jsonl")), Pair(kRows - 1, 0));
  ASSERT_EQ(embed("s0.npy", {}, "shifted.jsonl").code, 0);
  EXPECT_EQ(slurp(folder.path("s.npy")), slurp(folder.path("s0.npy")));
  // Another precision, and another encoder.
  EXPECT_EQ(counts(embed("b.npy", {"--embed-cache", "c.db", "--precision", "bfloat16"})), Pair(kRows, 0));
  ASSERT_EQ(embed("b0.npy", {"--precision", "bfloat16"}).code, 0);
  EXPECT_EQ(slurp(folder.path("b.npy")), slurp(folder.path("b0.npy")));
  EXPECT_NE(slurp(folder.path("b.npy")), slurp(folder.path("v.npy")));
  const Outcome other =
      run({"embed", "log.jsonl", "-o", "o.npy", "--embed-model", "other", "--json", "--embed-cache", "c.db"});
  EXPECT_EQ(counts(other), Pair(kRows, 0));
  EXPECT_NE(slurp(folder.path("o.npy")), slurp(folder.path("v.npy")));
}

TEST_F(CliEmbedCache, DamageIsAnErrorOrMadeAgain) {
  ASSERT_EQ(embed("v.npy", cached_).code, 0);
  const auto sql = [&](const std::string& text) {
    auto db = io::Database::open(folder.path("c.db"), io::Database::Mode::kWrite);
    ASSERT_TRUE(db.ok() && db->execute(text).ok());
  };
  sql("UPDATE entries SET vector = zeroblob(64) WHERE id = 7");
  const Outcome o = embed("w.npy", cached_);
  EXPECT_EQ(counts(o), Pair(4096, kRows - 4096));  // its group is computed again, whole
  EXPECT_TRUE(contains(o.err, "c.db: holds damaged vectors")) << o.err;
  EXPECT_EQ(slurp(folder.path("w.npy")), slurp(folder.path("v.npy")));
  EXPECT_EQ(counts(embed("w.npy", cached_)), Pair(0, kRows));
  sql("PRAGMA user_version=9");
  const Outcome newer = embed("x.npy", cached_);
  EXPECT_EQ(newer.code, 1);
  EXPECT_TRUE(contains(newer.err, "c.db: expected an embedding cache of version 1, found 9")) << newer.err;
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(folder.path("c.db" + std::string(end)));
  folder.write("c.db", std::string(9000, 'z'));
  EXPECT_TRUE(contains(embed("x.npy", cached_).err, "c.db: damaged, or no database"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("x.npy")));
}

TEST_F(CliEmbedCache, AFullDiskOrANamelessPlaceIsAWarning) {
  ASSERT_EQ(embed("v.npy").code, 0);
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  // No file above 400 KiB: the vectors fit, the cache does not.
  const int status = std::system(("cd " + folder.root() + " && trap '' XFSZ; ulimit -f 800; " + binary +
                                  " embed log.jsonl -o w.npy --embed-model model --embed-cache c.db 2> err.txt")
                                     .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0) << slurp(folder.path("err.txt"));
  EXPECT_TRUE(contains(slurp(folder.path("err.txt")), "not kept in the cache")) << slurp(folder.path("err.txt"));
  EXPECT_EQ(slurp(folder.path("w.npy")), slurp(folder.path("v.npy")));
  const Outcome o = embed("x.npy", {"--embed-cache", "no/such/folder/c.db"});
  EXPECT_EQ(counts(o), Pair(kRows, 0));
  EXPECT_TRUE(contains(o.err, "no/such/folder/c.db") && contains(o.err, "without the cache")) << o.err;
  EXPECT_EQ(slurp(folder.path("x.npy")), slurp(folder.path("v.npy")));
}

TEST_F(CliEmbedCache, TheSizeIsHeldTo) {
  EXPECT_EQ(counts(embed("v.npy", {"--embed-cache", "c.db", "--embed-cache-size", "300KB"})), Pair(kRows, 0));
  EXPECT_LT(std::filesystem::file_size(folder.path("c.db")), uintmax_t{1} << 20);
  ASSERT_EQ(embed("w.npy", {"--embed-cache", "c.db", "--embed-cache-size", "300KB"}).code, 0);
  EXPECT_EQ(slurp(folder.path("w.npy")), slurp(folder.path("v.npy")));
}

TEST_F(CliEmbedCache, KilledAtAnyInstantTheNextRunGivesTheSameBytes) {
  folder.write("long.jsonl", text_log(40'000));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(embed("v.npy", {}, "long.jsonl").code, 0);
  const auto whole = std::chrono::steady_clock::now() - start;  // a sanitizer's build takes many times longer
  const char* binary = std::getenv("TRACER_TEST_BINARY");
  int killed = 0;
  for (int round = 0; round < 12; ++round) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::chdir(folder.root().c_str()) != 0) ::_exit(97);
      ::execl(binary, binary, "embed", "long.jsonl", "-o", "w.npy", "--embed-model", "model", "--embed-cache", "c.db",
              "--quiet", nullptr);
      ::_exit(98);
    }
    std::this_thread::sleep_for(whole * (round + 1) / 14);
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    killed += WIFSIGNALED(status) ? 1 : 0;
  }
  const Outcome o = embed("w.npy", cached_, "long.jsonl");
  EXPECT_EQ(slurp(folder.path("w.npy")), slurp(folder.path("v.npy")));
  EXPECT_GT(killed, 0);
  EXPECT_GT(counts(o).second, 0);
  EXPECT_FALSE(contains(o.err, "damaged")) << o.err;
  std::printf("%d kills; then %lld made, %lld from the cache\n", killed, static_cast<long long>(counts(o).first),
              static_cast<long long>(counts(o).second));
}

// A run that goes on begins in the middle of a group; its scores are written to the last digit.
TEST_F(CliEmbedCache, ARunThatGoesOnAndOneThroughABatchWriteTheBytesOfOneInOneGo) {
  MockLlm mock({"--batch-ms", "1"});
  const Outcome fitted = run({"fit", "log.jsonl", "--alpha", "0.8", "-o", "p", "--embed-model", "model"});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  folder.write("q.jsonl", text_log(kRows, 50'000));
  const auto job = [&](const std::string& out, std::vector<std::string> more, const MockLlm& llm) {
    more.insert(more.begin(), {"run", "p", "q.jsonl", "-o", out, "--llm-url", llm.address() + "/v1", "--llm-model", "m",
                               "--audit-seed", "3", "--audit-rate", "0.02"});
    return run(more);
  };
  ASSERT_EQ(job("whole.jsonl", {"--embed-cache", "whole.db"}, mock).code, 0);
  {
    MockLlm slow({"--latency-ms", "400"});  // long enough for a part of the output to be written
    EXPECT_EQ(job("parts.jsonl", {"--concurrency", "8", "--deadline", "4s"}, slow).code, 5);
  }
  const Outcome second = job("parts.jsonl", {"--resume", "--embed-cache", "whole.db"}, mock);
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_FALSE(contains(second.err, "job: 0 rows written")) << second.err;             // it begins in the middle
  EXPECT_TRUE(contains(second.err, " vectors from the cache, 0 made")) << second.err;  // in the same groups
  EXPECT_EQ(slurp(folder.path("parts.jsonl")), slurp(folder.path("whole.jsonl")));
  const Outcome batch = job("batch.jsonl", {"--batch", "--poll-seconds", "0.05", "--embed-cache", "c.db"}, mock);
  ASSERT_EQ(batch.code, 0) << batch.err;
  EXPECT_TRUE(contains(batch.err, "5000 vectors from the cache, 0 made")) << batch.err;  // the second pass
  const auto lines = json_lines(slurp(folder.path("batch.jsonl"))),
             expected = json_lines(slurp(folder.path("whole.jsonl")));
  ASSERT_EQ(lines.size(), expected.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["score"], expected[i]["score"]) << i;
}

}  // namespace
}  // namespace tracer
