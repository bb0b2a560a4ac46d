// Vectors from an embedding server (mock_llm), in every command that embeds text.
#include <signal.h>

#include <filesystem>

#include "host/encoder/encoder_identity.h"
#include "tests/host/cli_process.h"
#include "tests/host/cli_run_fixture.h"
#include "tests/host/encoder_example.h"
#include "tests/host/mock_server.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliEmbedServer : public CliTest {
 protected:
  static constexpr int kRows = 1600;

  void SetUp() override { folder.write("log.jsonl", text_log(kRows)); }

  // As mock_llm answers and embeds them.
  static std::string text_log(int rows, int first = 0) {
    std::string out;
    for (int i = first; i < first + rows; ++i) {
      const std::string input = text(i);
      const std::string label = "label " + std::to_string(io::xxh64(input) % 4);
      out += Json{{"id", "r" + std::to_string(i)}, {"input", input}, {"teacher", label}}.dump() + "\n";
    }
    return out;
  }
  static std::string text(int i) { return "text number " + std::to_string(i); }

  static std::vector<std::string> at(const MockLlm& mock, const std::string& path = "/v1/embeddings") {
    if (path == "/v1/embeddings") return {"--embed-url", mock.address() + path, "--embed-model", "m"};
    return {"--embed-url", mock.address() + path};
  }
  Outcome embed(std::vector<std::string> more, const std::string& out = "v.npy", const std::string& in = "log.jsonl") {
    more.insert(more.begin(), {"embed", in, "-o", out});
    return run(more);
  }
  Outcome command(std::vector<std::string> args, const std::vector<std::string>& more) {
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // What a server without faults gives.
  std::string vectors() {
    MockLlm good;
    const Outcome o = embed(at(good), "good.npy");
    EXPECT_EQ(o.code, 0) << o.err;
    return slurp(folder.path("good.npy"));
  }
  pid_t start(std::vector<std::string> args, const std::string& err = "/dev/null") {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const char* binary = std::getenv("TRACER_TEST_BINARY");
    std::vector<char*> argv = {const_cast<char*>(binary)};
    for (std::string& s : args) argv.push_back(s.data());
    argv.push_back(nullptr);
    if (::chdir(folder.root().c_str()) != 0) ::_exit(97);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), 2);
    ::execv(binary, argv.data());
    ::_exit(98);
  }
  // Exit code, or 128 and the signal.
  static int end_of(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
};

TEST_F(CliEmbedServer, TheDialectsGiveTheSameVectorsHoweverTheyCome) {
  const std::string expected = vectors();
  auto reader = io::NpyReader::open(folder.path("good.npy"));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->rows(), kRows);
  EXPECT_EQ(reader->cols(), 16);
  struct Case {
    const char* path;
    std::vector<std::string> faults, more;
  };
  const Case cases[] = {{"/embed", {}, {}},
                        {"/vectors", {}, {}},
                        {"/vectors", {"--embed-odd", "wrapped"}, {"--embed-model", "m"}},
                        {"/v1/embeddings", {"--embed-odd", "reversed"}, {}},
                        {"/v1/embeddings", {"--embed-odd", "base64"}, {}},
                        {"/v1/embeddings", {"--embed-odd", "no-index"}, {}},
                        {"/v1/embeddings", {}, {"--embed-encoding", "base64"}},
                        {"/v1/embeddings", {}, {"--embed-dimensions", "16"}},
                        {"/v1/embeddings", {}, {"--embed-batch", "1", "--embed-concurrency", "1"}},
                        {"/embed", {}, {"--embed-batch", "777", "--embed-concurrency", "64"}},
                        {"/vectors", {}, {"--embed-api", "json", "--embed-input-key", "texts"}}};
  for (const Case& c : cases) {
    MockLlm mock(c.faults);
    std::vector<std::string> args = at(mock, c.path);
    args.insert(args.end(), c.more.begin(), c.more.end());
    const Outcome o = embed(args);
    ASSERT_EQ(o.code, 0) << c.path << o.err;
    EXPECT_EQ(slurp(folder.path("v.npy")), expected) << c.path;
    const Json stats = mock.stats()["embed"];
    EXPECT_EQ(stats["texts"], kRows + 1) << c.path;  // and the one that asks for the dimension
    EXPECT_EQ(stats["answered_again"], 0) << c.path;
  }
  const Json note = Json::parse(slurp(folder.path("v.npy.meta.json")))["encoder"];
  EXPECT_EQ(note["dialect"], "json");
  EXPECT_EQ(note["dimension"], 16);
  EXPECT_EQ(note["name"], note["path"]);
}

TEST_F(CliEmbedServer, FaultsAreRetriedWithTheServersPauseAndChangeNothing) {
  const std::string expected = vectors();
  const std::vector<std::vector<std::string>> cases = {
      {"--p429", "0.3", "--retry-after-ms", "30"},  // first: asked one by one, so that nothing was on its way
      {"--p500", "0.2"},
      {"--torn", "0.2"},
      {"--garbage", "0.2"},
      {"--fail-first", "3", "--retry-after-ms", "1"},
      {"--most-at-once", "2", "--latency-ms", "2"},
      {"--p429", "0.1", "--p500", "0.1", "--torn", "0.1", "--garbage", "0.1", "--p529", "0.05"}};
  for (const auto& faults : cases) {
    MockLlm mock(faults);
    std::vector<std::string> args = at(mock);
    args.insert(args.end(), {"--embed-max-attempts", "30", "--embed-batch", "64", "--json"});
    if (&faults == cases.data()) args.insert(args.end(), {"--embed-concurrency", "1"});
    const Outcome o = embed(args);
    ASSERT_EQ(o.code, 0) << faults[0] << o.err;
    EXPECT_EQ(slurp(folder.path("v.npy")), expected) << faults[0];
    const Json stats = mock.stats();
    EXPECT_GT(stats["requests"], kRows / 64 + 1) << faults[0];  // some were sent again
    EXPECT_EQ(stats["embed"]["answered_again"], 0) << faults[0];
    if (&faults == cases.data()) {
      EXPECT_EQ(stats["early"], 0);
    }
    EXPECT_EQ(Json::parse(o.out)["embedded"], kRows);
  }
}

TEST_F(CliEmbedServer, AServerThatStaysBrokenIsGivenUp) {
  MockLlm mock({"--p500", "1"});
  std::vector<std::string> args = at(mock);
  args.insert(args.end(), {"--embed-max-attempts", "2"});
  const Outcome o = embed(args);
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, mock.address() + "/v1/embeddings: http 500: something broke (after 2 attempts)"))
      << o.err;
  const Outcome gone = embed({"--embed-url", "http://127.0.0.1:1/embed", "--embed-max-attempts", "1"});
  EXPECT_EQ(gone.code, 1);
  EXPECT_TRUE(contains(gone.err, "http://127.0.0.1:1/embed: ")) << gone.err;
  MockLlm slow({"--p429", "1"});
  args = at(slow);
  args.insert(args.end(), {"--embed-give-up-seconds", "1"});
  EXPECT_TRUE(contains(embed(args).err, "http 429: Rate limit reached (no answer for so long")) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("v.npy")));
}

TEST_F(CliEmbedServer, WrongAnswersAreErrorsThatNameAddressBatchAndRow) {
  folder.write("v.npy", "earlier");
  struct Case {
    const char *odd, *path, *what;
  };
  // The first answer is to one text: the one that asks for the dimension.
  const Case at_once[] = {{"short", "/embed", "/embed: expected 1 vectors, one for each text, found 0"},
                          {"nan", "/embed", "it holds NaN or Infinity (after 1 attempts)"},
                          {"null", "/vectors", "/vectors: number 2 of the vector is no number"},
                          {"text", "/vectors", "number 2 of the vector is no number"},
                          {"huge", "/v1/embeddings", "number 2 of the vector is not finite"},
                          {"zero", "/v1/embeddings", "a vector of zeros"},
                          {"not-json", "/v1/embeddings", "the answer is no JSON (after 1 attempts)"},
                          {"other", "/v1/embeddings", "no array \"data\": the model is loading"}};
  for (const Case& c : at_once) {
    MockLlm mock({"--embed-odd", c.odd});
    std::vector<std::string> args = at(mock, c.path);
    args.insert(args.end(), {"--embed-max-attempts", "1"});
    const Outcome o = embed(args);
    EXPECT_EQ(o.code, 1) << c.odd;
    EXPECT_TRUE(contains(o.err, c.what) && contains(o.err, mock.address() + c.path)) << c.odd << ": " << o.err;
  }
  // Later ones.
  const Case later[] = {{"twice", "/v1/embeddings", "/v1/embeddings: batch 2, row 1: the \"index\" of two vectors"},
                        {"ragged", "/embed", "/embed: batch 2, row 1: a vector of dimension 16, where 17 is expected"},
                        {"grow", "/embed", "/embed: batch 4, row 129: a vector of dimension 17, where 16 is expected"}};
  for (const Case& c : later) {
    const bool grow = c.odd == std::string("grow");
    MockLlm mock(grow ? std::vector<std::string>{"--embed-grow-after", "3"}
                      : std::vector<std::string>{"--embed-odd", c.odd});
    std::vector<std::string> args = at(mock, c.path);
    args.insert(args.end(), {"--embed-batch", "64", "--embed-concurrency", "1"});
    const Outcome o = embed(args);
    EXPECT_EQ(o.code, 1) << c.odd;
    EXPECT_TRUE(contains(o.err, mock.address() + c.path) && contains(o.err, c.what)) << c.odd << ": " << o.err;
  }
  EXPECT_EQ(slurp(folder.path("v.npy")), "earlier");
}

TEST_F(CliEmbedServer, BatchesThatAreTooLargeAreSplitAndATextThatIsRefusedIsNamed) {
  const std::string expected = vectors();
  {
    MockLlm mock({"--embed-most", "10"});
    std::vector<std::string> args = at(mock, "/embed");
    args.insert(args.end(), {"--embed-batch", "256"});
    const Outcome o = embed(args);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(slurp(folder.path("v.npy")), expected);
    const Json stats = mock.stats()["embed"];
    EXPECT_EQ(stats["largest"], 8);
    EXPECT_EQ(stats["answered_again"], 0);
  }
  MockLlm mock({"--embed-refuse", "number 777"});
  const Outcome o = embed(at(mock, "/embed"));
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, ", row 778: http 400: a text of no kind that is taken here")) << o.err;
}

TEST_F(CliEmbedServer, EqualTextsOfAGroupAreAskedForOnce) {
  std::string log;
  for (int i = 0; i < 3000; ++i) log += Json{{"input", text(i % 7)}}.dump() + "\n";
  folder.write("same.jsonl", log);
  MockLlm mock;
  ASSERT_EQ(embed(at(mock), "v.npy", "same.jsonl").code, 0);
  EXPECT_EQ(mock.stats()["embed"]["asked"], 7 + 1);
  auto reader = io::NpyReader::open(folder.path("v.npy"));
  ASSERT_TRUE(reader.ok());
  Matrix<float> x(3000, 16);
  ASSERT_TRUE(reader->read_rows(0, 3000, x.view()).ok());
  for (int i = 0; i < 3000; ++i)
    for (int d = 0; d < 16; ++d) ASSERT_EQ(x(i, d), x(i % 7, d));
}

TEST_F(CliEmbedServer, TheKeyGoesToTheServerAndNowhereElse) {
  const std::string key = "sk-very-secret";
  MockLlm mock({"--expect-key", key});
  std::vector<std::string> args = at(mock);
  ::unsetenv("OPENAI_API_KEY");
  const Outcome none = embed(args);
  EXPECT_EQ(none.code, 1);
  EXPECT_TRUE(contains(none.err, "http 401: Incorrect API key provided")) << none.err;
  ::setenv("OPENAI_API_KEY", key.c_str(), 1);
  const Outcome by_default = embed(args);
  EXPECT_EQ(by_default.code, 0) << by_default.err;
  EXPECT_EQ(embed(at(mock, "/embed")).code, 1);  // another company's server does not get OpenAI's key
  ::unsetenv("OPENAI_API_KEY");
  ::setenv("MY_KEY", key.c_str(), 1);
  args = at(mock, "/embed");
  args.insert(args.end(), {"--embed-key-env", "MY_KEY"});
  EXPECT_EQ(embed(args).code, 0);
  ::unsetenv("MY_KEY");
  EXPECT_TRUE(contains(embed(args).err, "$MY_KEY is not set"));
  folder.write("key", key + "\n");
  args = at(mock);
  args.insert(args.end(), {"--embed-key-file", "key", "--embed-cache", "c.db"});
  ::chmod(folder.path("key").c_str(), 0644);
  EXPECT_TRUE(contains(embed(args).err, "chmod 600"));
  ::chmod(folder.path("key").c_str(), 0600);
  EXPECT_EQ(embed(args).code, 0);
  std::filesystem::remove(folder.path("key"));
  for (const auto& entry : std::filesystem::directory_iterator(folder.root()))
    EXPECT_EQ(slurp(entry.path()).find(key), std::string::npos) << entry.path();
}

TEST_F(CliEmbedServer, APolicyPinsTheServersModelAndTakesNoOther) {
  MockLlm mock;
  const Outcome fitted = command({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p"}, at(mock));
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  const Json encoder = Json::parse(slurp(folder.path("p/manifest.json")))["encoders"][0];
  EXPECT_EQ(encoder["name"], "m");
  EXPECT_EQ(encoder["dialect"], "openai");
  EXPECT_EQ(encoder["dimension"], 16);
  EXPECT_EQ(encoder["precision"], "float32");
  EXPECT_EQ(encoder["path"], mock.address() + "/v1/embeddings");
  EXPECT_EQ(encoder["digest"], server_digest("openai", "m", 16));

  folder.write("fresh.jsonl", text_log(500, 5000));
  const std::vector<std::string> route = {"route", "p", "fresh.jsonl", "-o", "a.jsonl"};
  // The policy says where it was, but text goes only where the command says.
  const int64_t before = mock.stats()["requests"];
  const Outcome nowhere = run(route);
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_TRUE(contains(nowhere.err, "m (openai, dimension 16)") && contains(nowhere.err, "--embed-url")) << nowhere.err;
  EXPECT_EQ(mock.stats()["requests"], before);
  // The model is the policy's where none is named.
  ASSERT_EQ(command(route, {"--embed-url", mock.address() + "/v1"}).code, 0);
  ASSERT_EQ(embed(at(mock), "f.npy", "fresh.jsonl").code, 0);
  ASSERT_EQ(run({"route", "p", "fresh.jsonl", "-o", "b.jsonl", "--embeddings", "f.npy"}).code, 0);
  EXPECT_EQ(slurp(folder.path("a.jsonl")), slurp(folder.path("b.jsonl")));
  const Outcome inspected =
      run({"inspect", "p", "--text", text(5001), "--json", "--embed-url", mock.address() + "/v1"});
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  EXPECT_EQ(Json::parse(inspected.out)["surrogate"], "label " + std::to_string(io::xxh64(text(5001)) % 4));
  for (const char* other : {"evaluate", "explain"}) {
    std::vector<std::string> args = {other, "p", "--embed-url", mock.address() + "/v1"};
    if (other == std::string("evaluate")) args.insert(args.begin() + 2, "fresh.jsonl");
    if (other == std::string("explain")) args.insert(args.end(), {"--traces", "fresh.jsonl"});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 0) << other << o.err;
  }

  // Another model, dialect, dimension; a model here; vectors of another.
  MockLlm wide({"--embed-dim", "17"});
  const auto refused = [&](const std::vector<std::string>& more, const std::string& found) {
    const Outcome o = command({"route", "p", "fresh.jsonl", "-o", "x.jsonl"}, more);
    EXPECT_EQ(o.code, 1) << found;
    EXPECT_TRUE(contains(o.err, "another encoder than p was fitted with: expected m (openai, dimension 16)") &&
                contains(o.err, found))
        << o.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("x.jsonl")));
  };
  refused({"--embed-url", mock.address() + "/v1", "--embed-model", "n"}, "found n (openai, dimension 16)");
  refused({"--embed-url", mock.address() + "/embed"}, "found m (tei, dimension 16)");
  refused({"--embed-url", wide.address() + "/v1"}, "found m (openai, dimension 17)");
  ASSERT_EQ(embed({"--embed-url", mock.address() + "/v1", "--embed-model", "n"}, "n.npy", "fresh.jsonl").code, 0);
  const Outcome vectors = run({"route", "p", "fresh.jsonl", "-o", "x.jsonl", "--embeddings", "n.npy"});
  EXPECT_EQ(vectors.code, 1);
  EXPECT_TRUE(contains(vectors.err, "vectors of another encoder")) << vectors.err;
}

TEST_F(CliEmbedServer, AServerDoesNotStandInForAnEncoderHere) {
  SKIP_WITHOUT_TORCH();
  write_tiny_encoder(folder, "model", {.hidden = 16, .heads = 4, .positions = 32});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--embed-model", "model"}).code % 3, 0);
  MockLlm mock;
  const Outcome o = run({"evaluate", "p", "log.jsonl", "--embed-url", mock.address() + "/embed"});
  EXPECT_NE(o.code, 0);
  EXPECT_EQ(mock.stats()["requests"], 0);
}

TEST_F(CliEmbedServer, ADamagedIdentityIsRefused) {
  MockLlm mock;
  ASSERT_EQ(embed(at(mock)).code, 0);
  const std::string note = slurp(folder.path("v.npy.meta.json"));
  const auto fit_with = [&](const char* key, const Json& value) {
    Json j = Json::parse(note);
    j["encoder"][key] = value;
    folder.write("v.npy.meta.json", j.dump());
    return run({"fit", "log.jsonl", "-o", "q", "--embeddings", "v.npy"});
  };
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{
           {"dialect", "soap"}, {"dialect", 7}, {"dialect", "tei"}, {"name", "n"}, {"dimension", 15}}) {
    const Outcome o = fit_with(key, value);
    EXPECT_EQ(o.code, 1) << key;
    EXPECT_TRUE(contains(o.err, "v.npy.meta.json")) << o.err;
  }
}

TEST_F(CliEmbedServer, KilledAndGoneOnAsksAgainOnlyForWhatWasInFlight) {
  const std::string expected = vectors();
  constexpr int kBatch = 16, kConcurrency = 4;
  std::filesystem::remove(folder.path("v.npy"));
  int64_t most_again = 0, kills = 0;
  for (int round = 0; round < 4; ++round) {
    MockLlm mock({"--latency-ms", "8"});
    std::vector<std::string> args = at(mock);
    args.insert(args.begin(), {"embed", "log.jsonl", "-o", "v.npy"});
    const std::string cache = "c" + std::to_string(round);
    args.insert(args.end(), {"--embed-batch", std::to_string(kBatch), "--embed-concurrency",
                             std::to_string(kConcurrency), "--embed-cache", cache});
    int64_t killed = 0;
    for (int64_t at_text = 150 + 37 * round; at_text < kRows; at_text += 400) {
      const pid_t pid = start(args);
      while (mock.stats()["embed"]["texts"].get<int64_t>() < at_text)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ::kill(pid, SIGKILL);
      killed += end_of(pid) == 128 + SIGKILL;
    }
    EXPECT_GE(killed, 3);
    const Outcome o = run(args);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(slurp(folder.path("v.npy")), expected);
    const auto again = mock.stats()["embed"]["answered_again"].get<int64_t>();
    EXPECT_LE(again, killed * kBatch * kConcurrency);
    most_again = std::max(most_again, again);
    kills += killed;
    // Nothing is left to ask: the same again wants no server at all.
    const int64_t requests = mock.stats()["requests"];
    ASSERT_EQ(run(args).code, 0);
    EXPECT_EQ(mock.stats()["requests"], requests);
  }
  std::printf("%lld kills; texts asked again in a round, at most: %lld\n", static_cast<long long>(kills),
              static_cast<long long>(most_again));
}

TEST_F(CliEmbedServer, TheCacheKnowsDialectModelAndDimensionAndNoAddressOfANamedModel) {
  MockLlm mock;
  const auto from_cache = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--embed-cache", "c.db", "--json"});
    const Outcome o = embed(more);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_FALSE(contains(o.err, "damaged")) << o.err;
    return o.code == 0 ? Json::parse(o.out)["from_cache"].get<int>() : -1;
  };
  const std::string openai = mock.address() + "/v1", tei = mock.address() + "/embed";
  const std::vector<std::vector<std::string>> sources = {
      {"--embed-url", openai, "--embed-model", "m"},
      {"--embed-url", openai, "--embed-model", "n"},
      {"--embed-url", openai, "--embed-model", "m", "--embed-dimensions", "8"},
      {"--embed-url", tei},
      {"--embed-url", tei, "--embed-model", "m"},
      {"--embed-url", tei, "--embed-model", "m", "--embed-api", "json", "--embed-input-key", "inputs"}};
  for (const auto& source : sources) EXPECT_EQ(from_cache(source), 0) << source[1] << " " << source.size();
  const int64_t requests = mock.stats()["requests"];
  for (const auto& source : sources) EXPECT_EQ(from_cache(source), kRows) << source[1] << " " << source.size();
  EXPECT_EQ(mock.stats()["requests"], requests);
  // Nobody listens there, and nobody has to; an address that stands for its model is another model.
  EXPECT_EQ(from_cache({"--embed-url", "http://127.0.0.1:1/v1", "--embed-model", "m"}), kRows);
  EXPECT_EQ(
      embed({"--embed-url", "http://127.0.0.1:1/embed", "--embed-cache", "c.db", "--embed-max-attempts", "1"}).code, 1);
}

TEST_F(CliEmbedServer, TwoAtOnceShareACacheAndBothAreRight) {
  const std::string expected = vectors();
  MockLlm mock({"--latency-ms", "3", "--p500", "0.05"});
  for (int round = 0; round < 3; ++round) {
    std::vector<std::string> args = at(mock);
    args.insert(args.end(), {"--embed-cache", "shared" + std::to_string(round), "--embed-batch", "8"});
    std::vector<std::string> a = {"embed", "log.jsonl", "-o", "a.npy"}, b = {"embed", "log.jsonl", "-o", "b.npy"};
    a.insert(a.end(), args.begin(), args.end());
    b.insert(b.end(), args.begin(), args.end());
    const pid_t first = start(a, folder.path("a.err")), second = start(b, folder.path("b.err"));
    EXPECT_EQ(end_of(first), 0) << slurp(folder.path("a.err"));
    EXPECT_EQ(end_of(second), 0) << slurp(folder.path("b.err"));
    EXPECT_EQ(slurp(folder.path("a.npy")), expected);
    EXPECT_EQ(slurp(folder.path("b.npy")), expected);
    for (const char* err : {"a.err", "b.err"}) EXPECT_FALSE(contains(slurp(folder.path(err)), "without the cache"));
  }
}

TEST_F(CliEmbedServer, ARunIsStoppedBySignalsWhileAServerHangs) {
  MockLlm llm;
  MockLlm good;
  ASSERT_EQ(command({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p"}, at(good)).code, 0);
  MockLlm hangs({"--hang", "1"});
  for (const int number : {SIGINT, SIGTERM}) {
    const pid_t pid = start({"run", "p", "log.jsonl", "-o", "out.jsonl", "--llm-url", llm.address() + "/v1",
                             "--llm-model", "m", "--embed-url", hangs.address() + "/v1"},
                            folder.path("err.txt"));
    while (hangs.stats()["requests"] == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto started = std::chrono::steady_clock::now();
    ::kill(pid, number);
    EXPECT_EQ(end_of(pid), 128 + number) << slurp(folder.path("err.txt"));
    EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
  }
}

TEST_F(CliEmbedServer, ABatchRunEmbedsOnceWithACacheAndTwiceWithout) {
  MockLlm mock({"--batch-ms", "1"});
  ASSERT_EQ(command({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p"}, at(mock)).code, 0);
  folder.write("q.jsonl", text_log(800, 9000));
  const auto asked = [&](const std::string& out, std::vector<std::string> more) {
    const auto before = mock.stats()["embed"]["asked"].get<int64_t>();
    more.insert(more.end(), {"--llm-url", mock.address() + "/v1", "--llm-model", "m", "--batch", "--poll-seconds",
                             "0.05", "--audit-rate", "0.05", "--audit-seed", "3", "--quiet"});
    const Outcome o = command({"run", "p", "q.jsonl", "-o", out, "--embed-url", mock.address() + "/v1"}, more);
    EXPECT_EQ(o.code, 0) << o.err;
    return mock.stats()["embed"]["asked"].get<int64_t>() - before;
  };
  const int64_t without = asked("a.jsonl", {}), with = asked("b.jsonl", {"--embed-cache", "c.db"});
  EXPECT_EQ(with, 800 + 1);
  EXPECT_GT(without, 800 + 1 + 400);  // the second pass begins at the first row that waits
  EXPECT_EQ(slurp(folder.path("a.jsonl")), slurp(folder.path("b.jsonl")));
  std::printf("texts asked for: %lld without a cache, %lld with one\n", static_cast<long long>(without),
              static_cast<long long>(with));
}

TEST_F(CliEmbedServer, MisuseIsAUsageError) {
  const std::vector<std::vector<std::string>> wrong = {
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-url", "nowhere"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-url", "http://a:b@h/embed"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-batch", "8"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-url", "http://h/embed", "--embed-batch", "0"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-url", "http://h/embed", "--embed-api", "soap"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-url", "http://h/embed", "--precision", "bfloat16"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-cache", "v.npy"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-cache", "log.jsonl"},
      {"embed", "log.jsonl", "-o", "v.npy", "--embed-cache-size", "much"},
      {"fit", "log.jsonl", "-o", "p", "--embed-cache", "p/c.db"},
      {"fit", "log.jsonl", "--embeddings", "v.npy", "--embed-url", "http://h/embed"},
  };
  for (const auto& args : wrong) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << args.back() << ": " << o.err;
    EXPECT_EQ(o.out, "");
  }
  const Outcome no_model = embed({"--embed-url", "http://127.0.0.1:1/v1"});
  EXPECT_EQ(no_model.code, 1);
  EXPECT_TRUE(contains(no_model.err, "--embed-model is missing")) << no_model.err;
  EXPECT_EQ(embed({"--embed-url", "http://127.0.0.1:1/embed", "--embed-dimensions", "8"}).code, 1);
  EXPECT_EQ(slurp(folder.path("log.jsonl")), text_log(kRows));
}

}  // namespace
}  // namespace tracer
