// `tracer run` and `tracer job` against an LLM that behaves as real ones do.
#include <algorithm>
#include <set>

#include "tests/host/cli_run_fixture.h"

namespace tracer {
namespace {

TEST_F(CliRunTest, EveryRowIsAnsweredInOrderByTheSurrogateOrTheLlm) {
  MockLlm mock;
  const Outcome o = run_job(mock, {"--audit-rate", "0.1"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, "");
  const Outcome routed = run({"route", "p", "q.jsonl", "-o", "routed.jsonl", "--quiet"});
  ASSERT_EQ(routed.code, 0) << routed.err;
  const auto decided = json_lines(io::slurp(folder.path("routed.jsonl")));
  const auto got = lines();
  ASSERT_EQ(got.size(), static_cast<size_t>(kRows));
  int64_t llm = 0, audited_handled = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const Json& row = got[i];
    EXPECT_EQ(row["id"], "r" + std::to_string(i));
    EXPECT_EQ(row["score"], decided[i]["score"]) << i;
    const bool handled = decided[i]["decision"] == "handled";
    if (row["source"] == "surrogate") {
      EXPECT_TRUE(handled) << row;
      EXPECT_EQ(row["label"], decided[i]["label"]);
      EXPECT_EQ(row["reason"], "accepted");
      EXPECT_TRUE(row["usage"].is_null());
    } else {
      EXPECT_EQ(row["source"], "llm");
      EXPECT_EQ(row["label"], answer_to(text(i)));
      EXPECT_GT(row["usage"]["prompt_tokens"].get<int64_t>(), 0);
      EXPECT_EQ(row["reason"] == "audit" || row["reason"] == decided[i]["reason"], true) << row;
      audited_handled += handled ? 1 : 0;
      ++llm;
    }
    EXPECT_TRUE(row["error"].is_null());
    EXPECT_TRUE(row["cost_usd"].is_null());
  }
  EXPECT_GT(audited_handled, kRows / 20);  // a tenth of about nine tenths
  EXPECT_LT(audited_handled, kRows / 6);
  const auto stats = mock.stats();
  EXPECT_EQ(stats["answers"], llm);
  EXPECT_EQ(stats["texts"], llm);
  EXPECT_EQ(status()["finished"], true);
  EXPECT_EQ(status()["sources"]["llm"], llm);
}

TEST_F(CliRunTest, EqualTextsAreSentOnce) {
  std::string rows;
  for (int64_t i = 0; i < kRows; ++i) rows += "{\"input\":\"" + text(i % 7) + "\"}\n";
  folder.write("q.jsonl", rows);
  MockLlm mock;
  ASSERT_EQ(run_job(mock).code, 0);
  EXPECT_LE(mock.stats()["answers"], 7);
  std::map<std::string, int64_t> first;
  const auto got = lines();
  for (size_t i = 0; i < got.size(); ++i) {
    const Json& row = got[i];
    if (row["source"] == "surrogate") continue;
    EXPECT_EQ(row["source"], first.emplace(text(static_cast<int64_t>(i) % 7), i).second ? "llm" : "cache");
    EXPECT_EQ(row["label"], answer_to(text(static_cast<int64_t>(i) % 7)));
    EXPECT_EQ(row["usage"].is_null(), row["source"] == "cache");
  }
  EXPECT_GT(sources()["cache"], 50);
}

TEST_F(CliRunTest, FaultsOfTheServerAreRetriedAndTheAnswersAreTheSame) {
  const std::string whole = output_without_faults();
  MockLlm mock({"--p429", "0.1", "--p500", "0.1", "--p529", "0.1", "--torn", "0.1", "--garbage", "0.1",
                "--retry-after-ms", "15", "--latency-ms", "2"});
  const Outcome o = run_job(mock, {"--max-attempts", "40", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(output(), whole);
  const Json summary = Json::parse(o.out);
  EXPECT_GT(summary["requests"]["retries"], 20);
  EXPECT_GT(summary["requests"]["unknown_cost"], 0);  // torn answers may have been billed
  EXPECT_EQ(mock.stats()["requests"], summary["requests"]["all"]);
}

TEST_F(CliRunTest, NothingIsSentBeforeTheServerSaidSo) {
  MockLlm mock({"--p429", "0.2", "--retry-after-ms", "60", "--latency-ms", "1"});
  ASSERT_EQ(run_job(mock, {"--concurrency", "1"}).code, 0);
  EXPECT_EQ(mock.stats()["early"], 0);
  EXPECT_GT(mock.stats()["refused"], 2);
}

TEST_F(CliRunTest, AnOutageIsWaitedForWithFewTrials) {
  MockLlm mock({"--fail-first", "20"});
  const Outcome o = run_job(mock, {"--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  // Sixteen were on their way when it began; then one at a time.
  EXPECT_EQ(mock.stats()["refused"], 20);
  EXPECT_EQ(Json::parse(o.out)["asks"]["failed"], 0);
}

TEST_F(CliRunTest, FewerAtOnceWhereTheServerPushesBack) {
  MockLlm mock({"--most-at-once", "4", "--latency-ms", "5"});
  const Outcome o = run_job(mock, {"--concurrency", "64", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto stats = mock.stats();
  EXPECT_LT(stats["refused"].get<int64_t>(), stats["answers"].get<int64_t>());
}

TEST_F(CliRunTest, AnAnswerThatIsNoLabelIsAskedAboutOnceMore) {
  MockLlm once({"--wrong-once"});
  const Outcome o = run_job(once, {"--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json summary = Json::parse(o.out);
  EXPECT_EQ(summary["requests"]["corrections"], summary["asks"]["all"]);
  EXPECT_EQ(once.stats()["corrections"], summary["asks"]["all"]);
  begin_anew();
  MockLlm never({"--wrong", "0.5"});
  EXPECT_EQ(run_job(never).code, 4);
  int64_t unparsed = 0;
  for (const Json& row : lines()) {
    if (row["source"] != "error") continue;
    ++unparsed;
    EXPECT_TRUE(row["label"].is_null());
    EXPECT_EQ(row["error"], "unparsed: the answer is none of the labels, twice");
    EXPECT_GT(row["usage"]["prompt_tokens"].get<int64_t>(), 0);  // it was paid for, twice
  }
  EXPECT_GT(unparsed, 5);
  // Asked again where that is wished, and only there.
  const int64_t answers = never.stats()["answers"];
  EXPECT_EQ(run_job(never, {"--resume"}).code, 4);
  EXPECT_EQ(never.stats()["answers"], answers);
  MockLlm good;
  EXPECT_EQ(run_job(good, {"--resume", "--retry-errors"}).code, 0);
  EXPECT_EQ(good.stats()["answers"], unparsed);
  EXPECT_EQ(sources()["error"], 0);
}

TEST_F(CliRunTest, ASpentAccountEndsDispatchWhileTheSurrogateGoesOn) {
  const std::string whole = output_without_faults();
  MockLlm mock({"--quota-after", "30", "--latency-ms", "2"});
  const Outcome o = run_job(mock, {"--concurrency", "4"});
  EXPECT_EQ(o.code, 5) << o.err;
  EXPECT_NE(o.err.find("quota"), std::string::npos) << o.err;
  EXPECT_LE(mock.stats()["requests"], 30 + 4);  // no retry of what cannot succeed
  const auto got = lines();
  ASSERT_EQ(got.size(), static_cast<size_t>(kRows));
  EXPECT_EQ(sources()["llm"], 30);
  EXPECT_GT(sources()["surrogate"], kRows / 2);
  for (const Json& row : got)
    if (row["source"] == "error") {
      EXPECT_EQ(row["error"], "quota: the account is spent");
    }
  MockLlm good;
  ASSERT_EQ(run_job(good, {"--resume"}).code, 0);
  EXPECT_EQ(output(), whole);
  EXPECT_EQ(good.stats()["answered_again"], 0);
}

TEST_F(CliRunTest, BudgetsHoldAcrossRuns) {
  write("prices.json", R"({"m": {"input": 1.0, "output": 2.0}})");
  MockLlm mock;
  Outcome o = run_job(mock, {"--max-requests", "25"});
  EXPECT_EQ(o.code, 5);
  EXPECT_EQ(mock.stats()["requests"], 25);
  o = run_job(mock, {"--resume", "--max-requests", "40"});
  EXPECT_EQ(o.code, 5);
  EXPECT_EQ(mock.stats()["requests"], 40);
  begin_anew();
  o = run_job(mock, {"--prices", "prices.json", "--max-cost-usd", "0.01", "--json"});
  EXPECT_EQ(o.code, 5);
  const Json summary = Json::parse(o.out);
  EXPECT_LE(summary["cost_usd"].get<double>(), 0.01);
  EXPECT_GT(summary["cost_usd"].get<double>(), 0.008);
  double lines_cost = 0;
  for (const Json& row : lines())
    if (row["source"] != "surrogate") lines_cost += row["cost_usd"].get<double>();
  EXPECT_NEAR(lines_cost, summary["cost_usd"].get<double>(), 1e-12);
  EXPECT_EQ(run_job(mock, {"--max-cost-usd", "1"}).code, 2);  // no prices
  write("other.json", R"({"another": {"input": 1.0, "output": 2.0}})");
  const Outcome unknown = run_job(mock, {"--prices", "other.json"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.err.find("other.json: expected a price of the model \"m\""), std::string::npos) << unknown.err;
}

TEST_F(CliRunTest, ADryRunPricesAndWritesNothing) {
  write("prices.json", R"({"m": {"input": 1.0, "output": 2.0}})");
  const Outcome o = run({"run", "p", "q.jsonl", "--dry-run", "--llm-model", "m", "--prices", "prices.json", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json price = Json::parse(o.out);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.jsonl")));
  MockLlm mock;
  const Outcome real = run_job(mock, {"--prices", "prices.json", "--json"});
  ASSERT_EQ(real.code, 0) << real.err;
  const Json spent = Json::parse(real.out);
  EXPECT_EQ(price["requests"], spent["requests"]["all"]);
  EXPECT_GE(price["cost_usd_at_most"].get<double>(), spent["cost_usd"].get<double>());
}

TEST_F(CliRunTest, WhatIsRefusedForGoodEndsSending) {
  MockLlm keyed({"--expect-key", "sk-secret-1"});
  Outcome o = run_job(keyed);
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("401"), std::string::npos) << o.err;
  EXPECT_EQ(lines().size(), static_cast<size_t>(kRows));
  EXPECT_LE(keyed.stats()["requests"], 64);
  begin_anew();
  MockLlm refusing({"--refuse-all"});
  o = run_job(refusing, {"--concurrency", "4"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("refused: every request"), std::string::npos) << o.err;
  EXPECT_LE(refusing.stats()["requests"], 60);
}

TEST_F(CliRunTest, KeysAreReadFromPrivateFilesAndNeverWritten) {
  const std::string key = "sk-secret-4711";
  write("key", key + "\n", 0644);
  MockLlm mock({"--expect-key", key, "--reject-after", "40"});
  Outcome o = run_job(mock, {"--llm-key-file", "key"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("chmod 600"), std::string::npos) << o.err;
  ::chmod(folder.path("key").c_str(), 0600);
  o = run_job(mock, {"--llm-key-file", "key", "--concurrency", "2"});
  EXPECT_EQ(o.code, 1) << o.err;  // revoked on the way
  EXPECT_EQ(sources()["llm"], 40);
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.root())) {
    if (!entry.is_regular_file() || entry.path().filename() == "key") continue;
    ++files;
    EXPECT_EQ(io::slurp(entry.path().string()).find("secret-4711"), std::string::npos) << entry.path();
  }
  EXPECT_GT(files, 8);
}

TEST_F(CliRunTest, DialectsOfServersAreFound) {
  MockLlm plain({"--no-schema", "--no-max-tokens"});
  ASSERT_EQ(run_job(plain).code, 0);
  const std::string whole = output();
  for (const Json& row : json_lines(whole))
    if (row["source"] == "llm") {
      EXPECT_EQ(row["label"], answer_to("text number " + row["id"].get<std::string>().substr(1)));
    }
  begin_anew();
  MockLlm anthropic({"--expect-key", "k"});
  write("key", "k", 0600);
  Outcome o = run({"run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url", anthropic.address(), "--llm-model", "m",
                   "--llm-api", "anthropic", "--llm-key-file", "key", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(sources()["llm"], 50);
  EXPECT_EQ(sources()["error"], 0);
}

// The process is killed again and again, and goes on.
TEST_F(CliRunTest, KilledAtAnyInstantLosesNothing) {
  const std::string whole = output_without_faults({"--audit-rate", "0.2"});
  MockLlm mock({"--latency-ms", "10"});
  int kills = 0;
  for (int i = 0; i < 200; ++i) {
    const pid_t pid = start_job(mock, {"--audit-rate", "0.2", "--resume", "--concurrency", "8"});
    std::this_thread::sleep_for(std::chrono::milliseconds(60 + 37 * i % 200));
    ::kill(pid, SIGKILL);
    int ended = 0;
    ::waitpid(pid, &ended, 0);
    if (WIFSIGNALED(ended)) {
      ++kills;
      continue;
    }
    if (WEXITSTATUS(ended) == 0) break;
    std::filesystem::remove(folder.path("out.jsonl.job"));  // killed while the job was made
  }
  ASSERT_EQ(run_job(mock, {"--audit-rate", "0.2", "--resume", "--concurrency", "8"}).code, 0);
  EXPECT_EQ(output(), whole);
  EXPECT_GT(kills, 2);
  EXPECT_LE(mock.stats()["answered_again"].get<int64_t>(), 8 * kills);
}

TEST_F(CliRunTest, ATornOrEditedOutputIsMadeAgain) {
  MockLlm mock;
  ASSERT_EQ(run_job(mock).code, 0);
  const std::string whole = output();
  const int64_t answers = mock.stats()["answers"];
  std::string edited = whole;
  edited[edited.size() / 2] ^= 1;
  for (const std::string& damaged : {whole.substr(0, whole.size() / 3), edited, std::string(), whole + "{\"id\":"}) {
    folder.write("out.jsonl", damaged);
    ASSERT_EQ(run_job(mock, {"--resume"}).code, 0);
    EXPECT_EQ(output(), whole);
  }
  EXPECT_EQ(mock.stats()["answers"], answers);
}

TEST_F(CliRunTest, AJobGoesOnOnlyWithTheSameInputPolicyAndQuestion) {
  MockLlm mock;
  ASSERT_EQ(run_job(mock).code, 0);
  EXPECT_EQ(run_job(mock).code, 1);  // there is a job, and no --resume
  Outcome o = run_job(mock, {"--resume", "--temperature", "1"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("llm.temperature: the job has 0.0, now it is 1.0"), std::string::npos) << o.err;
  o = run_job(mock, {"--resume", "--alpha", "0.8"});
  EXPECT_EQ(o.code, 1);
  // The same size, another text in a row that went to the LLM.
  std::string rows = io::slurp(folder.path("q.jsonl"));
  for (const Json& row : lines()) {
    if (row["source"] != "llm") continue;
    const std::string id = row["id"];
    const std::string old = "text number " + id.substr(1) + "\"";
    rows.replace(rows.find(old), 4, "TEXT");
    break;
  }
  folder.write("q.jsonl", rows);
  std::filesystem::remove(folder.path("out.jsonl"));
  o = run_job(mock, {"--resume"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("have changed since"), std::string::npos) << o.err;
  write("out.jsonl.job",
        "no database, but long enough to be looked at as if it were one of them......................");
  o = run_job(mock, {"--resume"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("out.jsonl.job"), std::string::npos) << o.err;
}

TEST_F(CliRunTest, AnswersComeOutAsTracesWithTheirProvenance) {
  MockLlm mock({"--wrong", "0.2"});
  ASSERT_EQ(run_job(mock, {"--audit-rate", "0.3"}).code, 4);
  const Outcome o = run({"job", "export", "out.jsonl", "-o", "-", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  std::map<std::string, int64_t> provenance;
  int64_t without = 0;
  std::set<std::string> occurrences;
  for (const Json& row : json_lines(o.out)) {
    EXPECT_TRUE(occurrences.insert(row["occurrence"].get<std::string>()).second);
    ++provenance[row["provenance"].get<std::string>()];
    if (row["teacher"].is_null()) {
      ++without;
      EXPECT_EQ(row["provenance"], "audit");  // it counts as a disagreement
    } else {
      EXPECT_EQ(row["teacher"], answer_to(row["input"]));
    }
  }
  EXPECT_GT(without, 20);
  EXPECT_GT(provenance["audit"], kRows / 4);
  EXPECT_GT(provenance["deferred"], 20);
}

TEST_F(CliRunTest, ASignalStopsInOrder) {
  MockLlm mock({"--latency-ms", "30"});
  const pid_t pid = start_job(mock, {"--concurrency", "2"});
  for (int i = 0; i < 400 && mock.stats()["answers"] < 5; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(pid, SIGTERM);
  int ended = 0;
  ::waitpid(pid, &ended, 0);
  ASSERT_TRUE(WIFEXITED(ended));
  EXPECT_EQ(WEXITSTATUS(ended), 143);
  const Json s = status();
  EXPECT_EQ(s["requests"]["in_flight"], 0);  // they were waited for
  EXPECT_EQ(s["asks"]["answered"], mock.stats()["answers"]);
  EXPECT_EQ(run_job(mock, {"--resume", "--concurrency", "64"}).code, 0);
  EXPECT_EQ(mock.stats()["answered_again"], 0);
  EXPECT_EQ(lines().size(), static_cast<size_t>(kRows));
}

// The rest of a job, while it runs, stopped, and with its budget spent: always lines of the finished output.
class CliPartialTest : public CliRunTest {
 protected:
  const std::vector<std::string> more_ = {"--audit-rate", "0.2", "--prices", "prices.json", "--max-attempts", "40"};
  std::string whole_;

  void SetUp() override {
    CliRunTest::SetUp();
    write("prices.json", R"({"m": {"input": 1.0, "output": 2.0}})");
    whole_ = output_without_faults(more_);
  }
  std::vector<std::string> with(std::vector<std::string> options) const {
    options.insert(options.end(), more_.begin(), more_.end());
    return options;
  }
  Outcome partial(const std::string& policy = "p", const std::string& input = "q.jsonl",
                  const std::string& out = "rest.jsonl") {
    return run({"job", "export", "out.jsonl", "--partial", "--policy", policy, "--input", input, "-o", out, "--json"});
  }
  // The lines after the prefix, each found in the finished output, in order.
  std::vector<Json> checked_rest(const Json& said) {
    const auto bytes = said["prefix_bytes"].get<size_t>();
    const auto prefix_rows = said["prefix_rows"].get<int64_t>();
    EXPECT_EQ(output().substr(0, bytes), whole_.substr(0, bytes));
    EXPECT_EQ(std::count(whole_.begin(), whole_.begin() + static_cast<int64_t>(bytes), '\n'), prefix_rows);
    std::istringstream left(whole_.substr(bytes)), rest(io::slurp(folder.path("rest.jsonl")));
    std::vector<Json> lines;
    for (std::string line, next; std::getline(rest, line);) {
      while (std::getline(left, next) && next != line) {
      }
      EXPECT_EQ(next, line) << "not a line of the finished output, or out of order";
      lines.push_back(Json::parse(line));
    }
    EXPECT_EQ(said["lines"], lines.size());
    return lines;
  }
  static int64_t by(const std::vector<Json>& lines, const std::string& source) {
    return std::count_if(lines.begin(), lines.end(), [&](const Json& line) { return line["source"] == source; });
  }
};

TEST_F(CliPartialTest, LinesBehindAnOpenRowComeOutWhileTheJobRunsAndWhenItIsStopped) {
  // What failed is asked again half a second later: answers after it are there before.
  MockLlm mock({"--p500", "0.1", "--latency-ms", "10"});
  const pid_t pid = start_job(mock, with({"--concurrency", "8"}));
  for (int i = 0; i < 400 && mock.stats()["answers"] < 60; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const Outcome running = partial();
  ASSERT_EQ(running.code, 0) << running.err;
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0) << "it ended too early to tell anything";
  EXPECT_GT(checked_rest(Json::parse(running.out)).size(), 0u);
  ::kill(pid, SIGTERM);
  int ended = 0;
  ::waitpid(pid, &ended, 0);
  ASSERT_EQ(WEXITSTATUS(ended), 143);

  const Outcome stopped = partial();
  ASSERT_EQ(stopped.code, 0) << stopped.err;
  const Json said = Json::parse(stopped.out);
  const std::vector<Json> rest = checked_rest(said);
  EXPECT_EQ(said["prefix_bytes"], output().size());
  EXPECT_GT(by(rest, "llm"), 0);
  EXPECT_GT(by(rest, "surrogate"), 0);
  EXPECT_EQ(by(rest, "error"), 0);
  EXPECT_GT(said["without_answer"], 0);
  const Json s = status();
  EXPECT_EQ(s["routed"],
            said["prefix_rows"].get<int64_t>() + said["lines"].get<int64_t>() + said["without_answer"].get<int64_t>());
  EXPECT_EQ(s["asks"]["answered"], by(lines(), "llm") + by(rest, "llm"));

  MockLlm good;
  ASSERT_EQ(run_job(good, with({"--resume"})).code, 0);
  EXPECT_EQ(output(), whole_);
  const Outcome finished = partial();
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(checked_rest(Json::parse(finished.out)).size(), 0u);
  EXPECT_EQ(Json::parse(finished.out)["prefix_rows"], kRows);
}

TEST_F(CliPartialTest, ASpentBudgetsErrorsAreNotAmongThem) {
  MockLlm mock;
  ASSERT_EQ(run_job(mock, with({"--max-requests", "25"})).code, 5);
  const int64_t errors = sources()["error"];
  ASSERT_GT(errors, 0);
  const Outcome o = partial();
  ASSERT_EQ(o.code, 0) << o.err;
  const Json said = Json::parse(o.out);
  EXPECT_EQ(by(checked_rest(said), "error"), 0);
  // An audited row that the surrogate answers stands for itself in the output, and has no answer yet.
  EXPECT_EQ(said["prefix_rows"].get<int64_t>() + said["lines"].get<int64_t>() + said["without_answer"].get<int64_t>(),
            kRows);
  EXPECT_EQ(said["without_answer"], status()["asks"]["pending"]);
}

TEST_F(CliPartialTest, OnlyUnderThePolicyAndInputOfTheJob) {
  MockLlm mock;
  ASSERT_EQ(run_job(mock, with({"--max-requests", "25"})).code, 5);
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--seed", "9", "-o", "other", "--quiet"}).code, 0);
  Outcome o = partial("other");
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("not the same job: policy: the job has"), std::string::npos) << o.err;
  o = partial("p", "log.jsonl");
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("not the same job: input_bytes"), std::string::npos) << o.err;
  // The same size, another text in a row that went to the LLM.
  std::string rows = io::slurp(folder.path("q.jsonl"));
  const std::string last_asked = [&] {
    const auto all = json_lines(whole_);
    return std::find_if(all.rbegin(), all.rend(), [](const Json& l) { return l["source"] == "llm"; })
        ->at("id")
        .get<std::string>();
  }();
  rows.replace(rows.find("text number " + last_asked.substr(1) + "\""), 4, "TEXT");
  folder.write("q.jsonl", rows);
  o = partial();
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("have changed since"), std::string::npos) << o.err;

  const std::string job = io::slurp(folder.path("out.jsonl.job"));
  for (const char* clash : {"out.jsonl", "out.jsonl.job", "q.jsonl", "q.npy", "p/rest.jsonl"})
    EXPECT_EQ(partial("p", "q.jsonl", clash).code, 2) << clash;
  EXPECT_EQ(io::slurp(folder.path("out.jsonl.job")), job);
  EXPECT_EQ(run({"job", "export", "out.jsonl", "--partial", "-o", "rest.jsonl"}).code, 2);
  EXPECT_EQ(run({"job", "export", "out.jsonl", "--policy", "p", "-o", "rest.jsonl"}).code, 2);
}

// What a batch API would make of a file of requests: answers in reverse order, and every fault that its files can hold.
TEST_F(CliRunTest, ABatchGoesOutAndComesBackByHand) {
  const std::string whole = output_without_faults();
  const std::vector<std::string> held = {"run",         "p", "q.jsonl",      "-o", "out.jsonl", "--hold",
                                         "--llm-model", "m", "--audit-seed", "3",  "--quiet",   "--resume"};
  ASSERT_EQ(run(held).code, 4);
  EXPECT_EQ(sources()["llm"], 0);
  const int64_t asked = sources()["error"];
  Outcome o = run({"job", "batch-export", "out.jsonl", "-o", "batch.jsonl", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(Json::parse(o.out)["requests"], asked);
  const auto requests = json_lines(io::slurp(folder.path("batch.jsonl")));
  ASSERT_EQ(requests.size(), static_cast<size_t>(asked));
  const auto result = [](const Json& request) {
    EXPECT_EQ(request["method"], "POST");
    const std::string input = request["body"]["messages"][1]["content"];  // after the system's
    const Json message = {{"content", Json{{"label", answer_to(input)}}.dump()}};
    const Json body = {{"choices", Json::array({{{"message", message}}})},
                       {"usage", {{"prompt_tokens", request["body"].dump().size() / 4}, {"completion_tokens", 5}}}};
    return Json{
        {"custom_id", request["custom_id"]}, {"response", {{"status_code", 200}, {"body", body}}}, {"error", nullptr}};
  };
  std::string results, errors;
  for (size_t i = requests.size(); i-- > 0;) {
    Json line = result(requests[i]);
    if (i == 0) {  // a 4xx with a null error
      line["response"] = {{"status_code", 400}, {"body", {{"error", {{"message", "too long"}}}}}};
    } else if (i == 1) {
      line["response"]["status_code"] = 429;
    } else if (i == 2) {
      line = {{"custom_id", requests[i]["custom_id"]}, {"response", nullptr}, {"error", {{"code", "batch_expired"}}}};
    } else if (i == 3) {
      line["response"]["body"]["choices"][0]["message"]["content"] = "no label";
    }
    (i < 3 ? errors : results) += line.dump() + "\n";
  }
  folder.write("results.jsonl", results);
  folder.write("errors.jsonl", errors);
  folder.write("foreign.jsonl", R"({"custom_id":"another-1","response":{"status_code":200,"body":{}}})");
  o = run({"job", "batch-import", "out.jsonl", "foreign.jsonl"});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("foreign.jsonl: line 1: \"custom_id\""), std::string::npos) << o.err;
  o = run({"job", "batch-import", "out.jsonl", "results.jsonl", "errors.jsonl", "results.jsonl", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  Json in = Json::parse(o.out);
  EXPECT_EQ(in["answered"], asked - 4);
  EXPECT_EQ(in["failed"], 1);
  EXPECT_EQ(in["again"], 2);
  EXPECT_EQ(in["unparsed"], 1);
  EXPECT_EQ(in["settled_before"], asked - 3);  // a file that is given twice changes nothing
  // The rest again, then all is there.
  ASSERT_EQ(run({"job", "batch-export", "out.jsonl", "-o", "again.jsonl", "--quiet"}).code, 0);
  results.clear();
  for (const Json& request : json_lines(io::slurp(folder.path("again.jsonl"))))
    results += result(request).dump() + "\n";
  folder.write("results.jsonl", results);
  ASSERT_EQ(run({"job", "batch-import", "out.jsonl", "results.jsonl"}).code, 0);
  ASSERT_EQ(run(held).code, 4);  // the refused one
  const auto expected = json_lines(whole);
  const auto got = lines();
  ASSERT_EQ(got.size(), expected.size());
  int64_t refused = 0, corrected = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i]["source"] == "error") {
      ++refused;
      EXPECT_EQ(got[i]["error"], "http 400: too long");
      continue;
    }
    for (const char* key : {"id", "label", "source", "score", "reason"}) EXPECT_EQ(got[i][key], expected[i][key]) << i;
    if (got[i]["source"] == "llm") corrected += got[i]["usage"]["completion_tokens"] == 10;  // asked twice
  }
  EXPECT_EQ(corrected, 1);
  EXPECT_EQ(refused, 1);
}

TEST_F(CliRunTest, ABatchAsksAsTheJobWasToldTo) {
  const auto exported = [&](const std::string& structured) {
    begin_anew();
    EXPECT_EQ(run({"run", "p", "q.jsonl", "-o", "out.jsonl", "--hold", "--llm-model", "m", "--structured", structured,
                   "--quiet"})
                  .code,
              4);
    EXPECT_EQ(run({"job", "batch-export", "out.jsonl", "-o", "batch.jsonl", "--quiet"}).code, 0);
    return json_lines(io::slurp(folder.path("batch.jsonl")));
  };
  for (const Json& request : exported("auto")) EXPECT_TRUE(request["body"].contains("response_format"));
  for (const Json& request : exported("off")) EXPECT_FALSE(request["body"].contains("response_format"));
}

TEST_F(CliRunTest, UsageErrors) {
  const std::vector<std::vector<std::string>> bad = {
      {"run", "p", "q.jsonl", "-o", "out.jsonl"},
      {"run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url", "http://127.0.0.1:1/v1"},
      {"run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url", "file:///etc/passwd", "--llm-model", "m"},
      {"run", "p", "-", "-o", "out.jsonl", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m"},
      {"run", "p", "q.jsonl", "-o", "-", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m"},
      {"run", "p", "q.jsonl", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m"},
      {"run", "p", "q.jsonl", "-o", "q.jsonl", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m"},
      {"run", "p", "q.jsonl", "-o", "o", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m", "--deadline",
       "soon"},
      {"run", "p", "q.jsonl", "-o", "o", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m", "--retry-errors"},
      {"run", "p", "q.jsonl", "-o", "o", "--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m", "--audit-rate", "2"},
      {"job"},
      {"job", "status"}};
  for (const auto& a : bad) {
    const Outcome o = run(a);
    EXPECT_EQ(o.code, 2) << testing::PrintToString(a) << o.err;
    EXPECT_FALSE(o.err.empty());
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.jsonl.job")));
  EXPECT_EQ(run({"job", "status", "absent"}).code, 1);
}

}  // namespace
}  // namespace tracer
