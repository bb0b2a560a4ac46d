// A policy, an input and a job, against an LLM that behaves as real ones do (mock_llm).
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "host/io/text_hash.h"
#include "tests/host/cli_process.h"
#include "tests/host/mock_server.h"

namespace tracer {

class CliRunTest : public CliTest {
 protected:
  static constexpr int64_t kRows = 1200;

  void SetUp() override {
    SmallLog log;
    log.rows = 2400;
    log.noise = 1.2;
    write_log(folder, "log", log);
    const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    log.rows = kRows;
    log.seed = 2;
    write_log(folder, "q", log);
  }

  std::vector<std::string> args(const std::string& address, std::vector<std::string> more = {}) const {
    std::vector<std::string> a = {"run",           "p",           "q.jsonl", "-o",           "out.jsonl", "--llm-url",
                                  address + "/v1", "--llm-model", "m",       "--audit-seed", "3",         "--quiet"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
  Outcome run_job(const MockLlm& mock, std::vector<std::string> more = {}) {
    return run(args(mock.address(), std::move(more)));
  }
  // In the background.
  pid_t start_job(const MockLlm& mock, std::vector<std::string> more) {
    std::vector<std::string> a = args(mock.address(), std::move(more));
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const char* binary = std::getenv("TRACER_TEST_BINARY");
    std::vector<char*> argv = {const_cast<char*>(binary)};
    for (std::string& s : a) argv.push_back(s.data());
    argv.push_back(nullptr);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 2);
    if (::chdir(folder.root().c_str()) == 0) ::execv(binary, argv.data());
    ::_exit(98);
  }
  void begin_anew() {
    for (const char* name : {"out.jsonl", "out.jsonl.job"}) std::filesystem::remove(folder.path(name));
  }
  std::string output_without_faults(std::vector<std::string> more = {}) {
    {
      MockLlm good;
      EXPECT_EQ(run_job(good, std::move(more)).code, 0);
    }
    std::string whole = output();
    begin_anew();
    return whole;
  }
  std::string output() const { return io::slurp(folder.path("out.jsonl")); }
  std::vector<Json> lines() const { return json_lines(output()); }
  std::map<std::string, int64_t> sources() const {
    std::map<std::string, int64_t> count;
    for (const Json& line : lines()) ++count[line["source"].get<std::string>()];
    return count;
  }
  Json status() {
    const Outcome o = run({"job", "status", "out.jsonl", "--json"});
    EXPECT_EQ(o.code, 0) << o.err;
    return Json::parse(o.out);
  }
  // Of a job that may not be there yet.
  Json status_or_null() {
    const Outcome o = run({"job", "status", "out.jsonl", "--json"});
    return o.code == 0 ? Json::parse(o.out) : Json{{"batches", {{"asks", 0}}}};
  }
  void write(const std::string& name, const std::string& text, mode_t mode = 0644) {
    folder.write(name, text);
    ::chmod(folder.path(name).c_str(), mode);
  }
  static std::string text(int64_t i) { return "text number " + std::to_string(i); }
  static std::string answer_to(const std::string& input) { return "label " + std::to_string(io::xxh64(input) % 4); }
};

}  // namespace tracer
