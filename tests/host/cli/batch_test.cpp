// `tracer run --batch` and `tracer job cancel`, against mock_llm.
#include "tests/host/cli_run_fixture.h"

namespace tracer {
namespace {

class CliBatchTest : public CliRunTest {
 protected:
  // By itself is answered what the policy defers; the audit makes it more.
  static std::vector<std::string> batch(std::vector<std::string> more = {}) {
    std::vector<std::string> a = {"--batch", "--poll-seconds", "0.05", "--audit-rate", "0.2"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
  Outcome cancel(std::vector<std::string> more = {}) {
    std::vector<std::string> a = {"job", "cancel", "out.jsonl", "--poll-seconds", "0.05"};
    a.insert(a.end(), more.begin(), more.end());
    return run(a);
  }
  void expect_only_the_job_beside() {
    for (const auto& entry : std::filesystem::directory_iterator(folder.root()))
      EXPECT_EQ(entry.path().filename().string().find(".job."), std::string::npos) << entry.path() << " left behind";
  }
};

TEST_F(CliBatchTest, BatchesGiveTheOutputOfAnOrdinaryRun) {
  const std::string whole = output_without_faults({"--audit-rate", "0.2"});
  MockLlm mock({"--batch-ms", "200", "--batch-expire", "0.1"});
  Outcome o = run_job(mock, batch({"--json"}));
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(output(), whole);
  const Json report = Json::parse(o.out);
  EXPECT_TRUE(report["stopped"].is_null()) << report;
  EXPECT_EQ(report["asks"]["pending"], 0);
  EXPECT_EQ(mock.stats()["answered_again"], 0);
  EXPECT_GE(mock.stats()["batches"], 2);
  expect_only_the_job_beside();
  // Another time: nothing to do.
  o = run_job(mock, batch({"--resume"}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(output(), whole);

  begin_anew();
  MockLlm anthropic({"--batch-ms", "100"});
  o = run({"run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url", anthropic.address(), "--llm-model", "m", "--llm-api",
           "anthropic", "--audit-rate", "0.2", "--audit-seed", "3", "--batch", "--poll-seconds", "0.05", "--quiet"});
  ASSERT_EQ(o.code, 0) << o.err;
  for (const Json& line : lines())
    if (line["source"] == "llm") {
      EXPECT_EQ(line["error"], nullptr) << line;
    }
  EXPECT_EQ(sources().count("error"), 0u);
  EXPECT_EQ(anthropic.stats()["answered_again"], 0);
}

TEST_F(CliBatchTest, KilledAtAnyInstantNothingIsPaidTwice) {
  const std::string whole = output_without_faults({"--audit-rate", "0.2"});
  for (int round = 0; round < 3; ++round) {
    MockLlm mock({"--batch-ms", "300"});
    int code = -1;
    for (int kill = 0; kill < 40 && code != 0; ++kill) {
      const pid_t pid = start_job(mock, batch({"--resume"}));
      const int ms = kill < 8 ? 40 + 60 * kill + 13 * round : 60'000;
      int status = 0;
      for (int waited = 0; waited < ms; waited += 5) {
        if (::waitpid(pid, &status, WNOHANG) == pid) {
          code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      if (code >= 0) break;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, &status, 0);
    }
    EXPECT_EQ(code, 0);
    EXPECT_EQ(output(), whole) << round;
    EXPECT_EQ(mock.stats()["answered_again"], 0) << round;
    EXPECT_EQ(mock.stats()["batches"], 1) << round;
    begin_anew();
  }
}

TEST_F(CliBatchTest, ACancelledJobAsksNothingMore) {
  const std::string whole = output_without_faults();
  MockLlm slow({"--latency-ms", "200"});
  const pid_t pid = start_job(slow, {"--concurrency", "2"});
  while (slow.stats()["requests"] < 5) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  Outcome o = cancel({"--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json said = Json::parse(o.out);
  EXPECT_GT(said["not_asked"], 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  EXPECT_EQ(lines().size(), static_cast<size_t>(kRows));
  int64_t cancelled = 0;
  for (const Json& line : lines()) cancelled += line["error"] == "cancelled";
  EXPECT_EQ(cancelled, sources()["error"]);
  EXPECT_GT(cancelled, 0);
  expect_only_the_job_beside();
  EXPECT_EQ(this->status()["cancelled"], true);
  // It stays cancelled,
  const int64_t requests = slow.stats()["requests"];
  o = run_job(slow, {"--resume"});
  EXPECT_EQ(o.code, 4) << o.err;
  EXPECT_NE(o.err.find("cancelled"), std::string::npos) << o.err;
  o = run_job(slow, {"--resume", "--batch"});
  EXPECT_EQ(o.code, 4) << o.err;
  EXPECT_EQ(slow.stats()["requests"], requests);
  EXPECT_EQ(slow.stats()["batches"], 0);
  // and a second cancellation changes nothing, until it is taken up again.
  EXPECT_EQ(cancel().code, 0);
  MockLlm mock;
  o = run_job(mock, {"--resume", "--retry-errors"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(output(), whole);
  EXPECT_EQ(this->status()["cancelled"], false);
}

TEST_F(CliBatchTest, CancellingEndsTheBatchesAtTheServer) {
  const std::string key = "sk-no-file-but-its-own-has-this";
  MockLlm mock({"--batch-ms", "600000", "--expect-key", key});
  write("key", key, 0600);
  const pid_t pid = start_job(mock, batch({"--llm-key-file", "key"}));
  while (mock.stats()["batches"] < 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  Outcome o = cancel();  // without an address: cancelled here, said that it is not there
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_NE(o.err.find("--llm-url"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("1 batch"), std::string::npos) << o.err;
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  o = cancel({"--llm-url", mock.address() + "/v1", "--llm-key-file", "key", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(Json::parse(o.out)["batches_ended"], 1);
  EXPECT_EQ(this->status()["batches"]["open"], 0);
  EXPECT_EQ(mock.stats()["texts"], 0);
  for (const auto& entry : std::filesystem::directory_iterator(folder.root()))
    if (entry.is_regular_file() && entry.path().filename() != "key") {
      EXPECT_EQ(io::slurp(entry.path().string()).find(key), std::string::npos) << entry.path();
    }
}

TEST_F(CliBatchTest, WhatIsInABatchIsNotSentByItselfAsWell) {
  MockLlm mock({"--batch-ms", "1500"});
  const pid_t pid = start_job(mock, batch());
  while (status_or_null()["batches"]["asks"].get<int64_t>() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ::kill(pid, SIGTERM);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 143);
  Outcome o = run_job(mock, {"--audit-rate", "0.2", "--resume"});
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_NE(o.err.find("--batch goes on"), std::string::npos) << o.err;
  o = run_job(mock, batch({"--resume"}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(mock.stats()["answered_again"], 0);
  EXPECT_EQ(mock.stats()["batches"], 1);
}

TEST_F(CliBatchTest, ABatchHasItsOwnPrice) {
  write("prices.json", R"({"m":{"input":2,"output":4,"batch_input":1,"batch_output":2}})");
  MockLlm mock;
  ASSERT_EQ(run_job(mock, {"--prices", "prices.json"}).code, 0);
  const double whole = this->status()["cost_usd"].get<double>();
  begin_anew();
  const Outcome o = run_job(mock, {"--prices", "prices.json", "--batch", "--poll-seconds", "0.05"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_NEAR(this->status()["cost_usd"].get<double>(), whole / 2, 1e-12);
}

TEST_F(CliBatchTest, UsageErrors) {
  MockLlm mock;
  EXPECT_EQ(run_job(mock, {"--batch", "--hold"}).code, 2);
  EXPECT_EQ(run_job(mock, {"--batch", "--poll-seconds", "0"}).code, 2);
  EXPECT_EQ(run({"job", "cancel"}).code, 2);
  EXPECT_EQ(run({"job", "cancel", "absent"}).code, 1);
}

}  // namespace
}  // namespace tracer
