// What goes wrong goes wrong cleanly: the right exit code, a message that names the place, nothing lost.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <thread>

#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class CliFailure : public CliTest {};

TEST_F(CliFailure, BadRowsAreSetAsideAndCounted) {
  write_log(folder, "log", {});
  std::string text = slurp(folder.path("log.jsonl"));
  // Line 3 loses its label, line 5 its braces; both still own their vectors.
  auto lines = std::vector<std::string>();
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  lines[2] = R"({"input":"no label here"})";
  lines[4] = "not json";
  std::string damaged;
  for (const auto& l : lines) damaged += l + "\n";
  folder.write("damaged.jsonl", damaged);
  const Outcome fit = run({"fit", "damaged.jsonl", "--embeddings", "log.npy", "--alpha", "0.9", "-o", "p"});
  EXPECT_EQ(fit.code, 0) << fit.err;
  EXPECT_TRUE(contains(fit.err, "2 of 1600 rows could not be read"));
  const auto rejects = json_lines(slurp(folder.path("rejects.jsonl")));
  ASSERT_EQ(rejects.size(), 2u);
  EXPECT_EQ(rejects[0]["line"], 3);
  EXPECT_EQ(rejects[1]["line"], 5);
  // Route needs no label: one bad row, one line fewer, exit 4.
  const Outcome route = run({"route", "p", "damaged.jsonl", "--embeddings", "log.npy", "-o", "out"});
  EXPECT_EQ(route.code, 4) << route.err;
  const auto out = json_lines(slurp(folder.path("out")));
  ASSERT_EQ(out.size(), 1599u);
  EXPECT_EQ(out[4]["id"], "r5");
  // The vectors stay aligned behind the gaps: r5 scores as in the whole file.
  ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "whole"}).code, 0);
  EXPECT_EQ(json_lines(slurp(folder.path("whole")))[5], out[4]);
  EXPECT_EQ(json_lines(slurp(folder.path("out.rejects.jsonl")))[0]["line"], 5);
}

TEST_F(CliFailure, TooManyBadRowsStopTheRun) {
  write_log(folder, "log", {.rows = 50});
  folder.write("bad.jsonl", slurp(folder.path("log.jsonl")) + "{}\n");
  const Outcome o = run({"fit", "bad.jsonl", "--embeddings", "log.npy", "-o", "p"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "bad.jsonl"));
  EXPECT_TRUE(contains(o.err, "line 51"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("p")));
}

TEST_F(CliFailure, VectorsThatDoNotFit) {
  fit_policy();
  write_log(folder, "fewer", {.rows = 1599});
  write_log(folder, "wider", {.dim = 17});
  for (const char* command : {"fit", "evaluate", "route"}) {
    std::vector<std::string> args = {command};
    if (std::string(command) != "fit") args.push_back("p");
    args.insert(args.end(), {"log.jsonl", "--embeddings", "fewer.npy"});
    if (std::string(command) != "evaluate") args.insert(args.end(), {"-o", "q"});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 1) << command;
    EXPECT_TRUE(contains(o.err, "1599"));
    EXPECT_TRUE(contains(o.err, "1600"));
  }
  const Outcome wide = run({"evaluate", "p", "wider.jsonl"});
  EXPECT_EQ(wide.code, 1);
  EXPECT_TRUE(contains(wide.err, "expected vectors of dimension 16"));
  EXPECT_TRUE(contains(wide.err, "found 17"));
  folder.write("lonely.jsonl", slurp(folder.path("log.jsonl")));
  const Outcome none = run({"fit", "lonely.jsonl", "--embeddings", "lonely.npy", "-o", "r"});
  EXPECT_EQ(none.code, 1);
  EXPECT_TRUE(contains(none.err, "lonely.npy"));
}

TEST_F(CliFailure, OutputThatCannotBeWritten) {
  fit_policy();
  const Outcome full = run({"route", "p", "log.jsonl", "-o", "/dev/full"});
  EXPECT_EQ(full.code, 1);
  EXPECT_TRUE(contains(full.err, "No space left"));
  folder.write("file", "x");
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "file/out"}).code, 1);
  EXPECT_EQ(run({"fit", "log.jsonl", "-o", "file/p"}).code, 1);
  EXPECT_EQ(run_tracer(folder, {"report", "p", "--json"}, "/dev/null", "/dev/full").code, 1);
  EXPECT_EQ(run_tracer(folder, {"fit", "log.jsonl", "-o", "q", "--json"}, "/dev/null", "/dev/full").code, 1);
}

TEST_F(CliFailure, AReaderThatLeavesEndsTheRunQuietly) {
  fit_policy();
  write_log(folder, "long", {.rows = 30000});
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  const std::string command = "cd " + folder.root() + " && { " + binary +
                              " route p long.jsonl -o - --quiet 2> err; echo $? > code; } | head -n 1 > first";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(slurp(folder.path("code")), "1\n");
  EXPECT_EQ(slurp(folder.path("err")), "");
  EXPECT_EQ(json_lines(slurp(folder.path("first"))).size(), 1u);
}

TEST_F(CliFailure, ADamagedPolicyIsRefused) {
  fit_policy();
  for (const char* name : {"manifest.json", "certificate.json", "weights.safetensors"}) {
    const std::string path = folder.path("p/") + name, good = slurp(path);
    std::string bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    folder.write(std::string("p/") + name, bad);
    const Outcome o = run({"route", "p", "log.jsonl", "-o", "out"});
    EXPECT_EQ(o.code, 1) << name;
    EXPECT_TRUE(contains(o.err, name));
    EXPECT_TRUE(contains(o.err, "expected"));
    folder.write(std::string("p/") + name, good);
  }
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0);
  EXPECT_EQ(run({"route", "nowhere", "log.jsonl", "-o", "out"}).code, 1);
}

TEST_F(CliFailure, AnImpossibleDeviceSaysWhy) {
  fit_policy();
  const Outcome o = run({"route", "p", "log.jsonl", "-o", "out", "--device", "cuda"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "cuda"));
}

// Stopped at any instant of the fit: the earlier policy stands, byte for byte, and nothing is left beside it.
TEST_F(CliFailure, AStoppedFitLeavesTheEarlierPolicy) {
  fit_policy();
  write_log(folder, "grown", {.rows = 8000, .seed = 5});
  std::map<std::string, std::string> earlier;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("p")))
    earlier[entry.path().filename().string()] = slurp(entry.path());
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  for (int signal : {SIGINT, SIGTERM, SIGKILL})
    for (int ms : {1, 20, 60, 120, 200}) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::signal(SIGINT, SIG_DFL);
        if (::chdir(folder.root().c_str()) != 0) ::_exit(99);
        ::execl(binary.c_str(), binary.c_str(), "fit", "grown.jsonl", "--alpha", "0.9", "-o", "p", "--quiet", nullptr);
        ::_exit(98);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      ::kill(pid, signal);
      int status = 0;
      ::waitpid(pid, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status)) << "the log is too small: the fit was done after " << ms << " ms";
      EXPECT_EQ(WTERMSIG(status), signal);
      size_t files = 0;
      for (const auto& entry : std::filesystem::directory_iterator(folder.path("p"))) {
        EXPECT_EQ(slurp(entry.path()), earlier[entry.path().filename().string()]) << entry.path();
        ++files;
      }
      EXPECT_EQ(files, earlier.size());
    }
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0);
}

// Killed also while it writes: the earlier policy is whole, or the new one is.
TEST_F(CliFailure, AKilledFitLeavesAWholePolicy) {
  fit_policy();
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  for (int ms : {1, 20, 60, 120, 200, 300}) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::chdir(folder.root().c_str()) != 0) ::_exit(99);
      ::execl(binary.c_str(), binary.c_str(), "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet", nullptr);
      ::_exit(98);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0) << ms;
  }
}

TEST_F(CliFailure, MemoryDoesNotGrowWithTheRows) {
  fit_policy();
  write_log(folder, "short", {.rows = 10000});
  write_log(folder, "long", {.rows = 100000});
  const Outcome a = run({"route", "p", "short.jsonl", "-o", "out"}), b = run({"route", "p", "long.jsonl", "-o", "out"});
  ASSERT_EQ(a.code, 0);
  ASSERT_EQ(b.code, 0);
  EXPECT_LT(b.peak_kib, a.peak_kib + 4096) << "short " << a.peak_kib << " KiB, long " << b.peak_kib << " KiB";
}

TEST_F(CliFailure, NothingLoadsTorch) {
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  ASSERT_EQ(std::system(("ldd " + binary + " > " + folder.path("libraries")).c_str()), 0);
  EXPECT_EQ(slurp(folder.path("libraries")).find("torch"), std::string::npos);
}

}  // namespace
}  // namespace tracer
