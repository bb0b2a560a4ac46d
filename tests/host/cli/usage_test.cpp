// Usage errors, closed streams, full disks, and text that a terminal must not obey.
#include <filesystem>

#include "tests/host/artifact_example.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliUsage : public CliTest {
 protected:
  int shell(const std::string& redirected) {
    const std::string binary = std::getenv("TRACER_TEST_BINARY");
    const int status = std::system(("cd " + folder.root() + " && " + binary + " " + redirected).c_str());
    return WEXITSTATUS(status);
  }
};

TEST_F(CliUsage, WhatIsNotANumberOrOutsideIsAUsageError) {
  const std::vector<std::vector<std::string>> wrong = {
      {"route", "p", "x", "-o", "y", "--alpha", "nan"},
      {"route", "p", "x", "-o", "y", "--alpha", "1"},
      {"evaluate", "p", "x", "--alpha", "0"},
      {"inspect", "p", "--row", "0", "--embeddings", "e", "--alpha", "-0.5"},
      {"evaluate", "p", "x", "--fail-below", "nan"},
      {"evaluate", "p", "x", "--fail-below", "1.01"},
      {"evaluate", "p", "x", "--max-bad-ratio", "nan"},
      {"fit", "x", "--max-bad-ratio", "nan"},
  };
  for (const auto& args : wrong) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << args[0] << " " << args.back() << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_FALSE(o.err.empty());
  }
}

TEST_F(CliUsage, MissingTracesAreNamedAsSuch) {
  fit_policy();
  for (const char* command : {"fit", "evaluate", "route"}) {
    for (const char* traces : {"missing.jsonl", "p"}) {
      std::vector<std::string> args = {command};
      if (std::string(command) != "fit") args.push_back("p");
      args.push_back(traces);
      if (std::string(command) != "evaluate") args.insert(args.end(), {"-o", "q"});
      const Outcome o = run(args);
      EXPECT_EQ(o.code, 1) << command << traces;
      EXPECT_TRUE(contains(o.err, traces));
      EXPECT_FALSE(contains(o.err, ".npy")) << command << traces;
    }
  }
}

TEST_F(CliUsage, EvaluatingNothingIsNoSuccess) {
  fit_policy();
  write_log(folder, "one", {.rows = 1});
  folder.write("one.jsonl", "{}\n");
  Outcome o = run({"evaluate", "p", "one.jsonl", "--max-bad-ratio", "1"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "no good row; first bad one, line 1"));
  // A vector far from all: nothing is handled, and whoever asked for a floor is told.
  Matrix<float> far(1, 16);
  far(0, 9) = -1;
  io::write_npy(folder.path("one.npy"), far.view());
  folder.write("one.jsonl", "{\"input\":\"x\",\"teacher\":\"label 0\"}\n");
  o = run({"evaluate", "p", "one.jsonl"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "1 row, alpha 0.9: handled 0")) << o.out;
  EXPECT_EQ(run({"evaluate", "p", "one.jsonl", "--fail-below", "0"}).code, 6);
  EXPECT_TRUE(contains(run({"evaluate", "--help"}).out, "no row is handled"));
}

TEST_F(CliUsage, ClosedAndFullStreams) {
  fit_policy();
  EXPECT_EQ(shell("--version > /dev/full 2> err"), 1);
  EXPECT_EQ(shell("route --help > /dev/full 2> err"), 1);
  EXPECT_EQ(shell("--version >&- 2> err"), 1);
  // Files opened later must not take the place of the closed streams.
  EXPECT_EQ(shell("route p log.jsonl -o out 0<&- 1>&- 2>&-"), 0);
  EXPECT_EQ(json_lines(slurp(folder.path("out"))).size(), 1600u);
  EXPECT_EQ(shell("report p 1>&- 2> err"), 1);
  EXPECT_EQ(shell("route p - --embeddings log.npy -o out 0<&- 2> err"), 1);
  EXPECT_TRUE(contains(slurp(folder.path("err")), "standard input"));
}

// A sparse file that claims two vectors of 10^12 numbers.
TEST_F(CliUsage, MemoryThatIsNotThereIsAnError) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer aborts where operator new would throw";
#endif
  write_log(folder, "log", {.rows = 2});
  const std::string path = folder.path("log.npy");
  std::string header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1000000000000), }";
  header.resize(117, ' ');
  header += '\n';
  folder.write("log.npy", std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header);
  std::error_code ec;
  std::filesystem::resize_file(path, 128 + uint64_t{4'000'000'000'000}, ec);
  if (ec) GTEST_SKIP() << "no sparse files of 4 TB here: " << ec.message();
  const Outcome o = run({"fit", "log.jsonl", "-o", "p"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "memory")) << o.err;
}

TEST_F(CliUsage, TextForPeopleCannotSteerTheirTerminal) {
  Artifact a = small_artifact();
  const std::string evil = "a\x1b[2J\nb\x7f\xc2\x9b\xe2\x80\xae";
  const std::string harmless = "a\\x1B[2J\\x0Ab\\x7F<U+009B><U+202E>";
  a.policy.labels = {evil, "loan", "ünï"};
  a.provenance.traces_path = evil;
  a.frontier[1]["reason"] = evil;
  a.policy.certificates[1].reason = evil;
  a.findings["warnings"] = {evil};
  a.findings["suspects"][0]["teacher"] = evil;
  a.reference_ids.assign(a.reference_ids.size(), evil);
  ASSERT_TRUE(write_artifact(folder.path("p"), a).ok());
  Matrix<float> x(1, kDim);
  x(0, 0) = 1;
  io::write_npy(folder.path("x.npy"), x.view());
  folder.write("x.jsonl", "{\"input\":\"x\"}\n");
  const auto clean = [&](const std::string& text) {
    return text.find('\x1b') == std::string::npos && text.find('\x7f') == std::string::npos &&
           text.find("\xc2\x9b") == std::string::npos && text.find("\xe2\x80\xae") == std::string::npos;
  };
  const Outcome report = run({"report", "p"});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_TRUE(contains(report.out, harmless));
  EXPECT_TRUE(clean(report.out));
  const Outcome inspect = run({"inspect", "p", "--row", "0", "--embeddings", "x.npy"});
  ASSERT_EQ(inspect.code, 0) << inspect.err;
  EXPECT_TRUE(contains(inspect.out, harmless));
  EXPECT_TRUE(contains(inspect.out, "ünï"));
  EXPECT_TRUE(clean(inspect.out));
  const Outcome refused = run({"route", "p", "x.jsonl", "--alpha", "0.99", "-o", "out"});
  ASSERT_EQ(refused.code, 3) << refused.err;
  EXPECT_TRUE(contains(refused.err, harmless));
  EXPECT_TRUE(clean(refused.err));
  // JSON carries the text itself.
  const Json j = Json::parse(run({"report", "p", "--json"}).out);
  EXPECT_EQ(j["explain"]["warnings"][0], evil);
}

}  // namespace
}  // namespace tracer
