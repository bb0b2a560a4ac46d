// tracer sweep: the figures are those of fit and evaluate, a sweep that was stopped goes on, and nothing is deployed.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "tests/host/cli_process.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;
using io::contains;
using io::slurp;

using Row = std::map<std::string, std::string>;

std::vector<Row> csv_rows(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> names;
  std::vector<Row> rows;
  for (std::string line; std::getline(in, line);) {
    std::istringstream cells(line + ",");
    Row row;
    size_t at = 0;
    for (std::string cell; std::getline(cells, cell, ','); ++at)
      if (names.size() <= at && rows.empty() && row.empty())
        names.push_back(cell);
      else
        row[names.at(at)] = cell;
    if (!row.empty()) rows.push_back(row);
  }
  return rows;
}

class CliSweep : public CliTest {
 protected:
  void SetUp() override {
    write_log(folder, "log", {.noise = 1.4});
    write_log(folder, "fresh", {.rows = 700, .noise = 1.4, .seed = 2});
  }
  // A sweep of two alphas, three sizes and two seeds, with more options behind.
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"sweep",   "log.jsonl", "--alphas", "0.8,0.9",     "--seeds", "2",
                                     "--curve", "400,800",   "--test",   "fresh.jsonl", "--quiet"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  Outcome sweep(const std::vector<std::string>& more) { return run(command(more)); }
};

TEST_F(CliSweep, EveryLineIsWhatFitAndEvaluateSay) {
  const Outcome o = sweep({"--csv", "s.csv", "--seed", "3"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "coverage and agreement on the test log"));
  EXPECT_TRUE(contains(o.out, "learning curves"));
  const auto rows = csv_rows(slurp(folder.path("s.csv")));
  ASSERT_EQ(rows.size(), 3u * 2 * 2);
  EXPECT_EQ(rows[0].at("traces"), "400");
  EXPECT_EQ(rows[0].at("seed"), "3");
  for (const std::string seed : {"3", "4"}) {
    const std::string policy = "p" + seed;
    const Outcome fit =
        run({"fit", "log.jsonl", "--alpha", "0.9", "--sweep", "0.8", "--seed", seed, "-o", policy, "--json", "-q"});
    ASSERT_EQ(fit.code, 0) << fit.err;
    const Json fitted = Json::parse(fit.out);
    for (const Json& entry : fitted["frontier"]) {
      const std::string alpha = entry["alpha"].dump();
      const Json fresh = Json::parse(run({"evaluate", policy, "fresh.jsonl", "--alpha", alpha, "--json", "-q"}).out);
      int found = 0;
      for (const Row& row : rows) {
        if (row.at("traces") != "1600" || row.at("seed") != seed || row.at("alpha") != alpha) continue;
        ++found;
        EXPECT_EQ(row.at("certified"), "1");
        EXPECT_EQ(std::stod(row.at("coverage")), entry["coverage"].get<double>());
        EXPECT_EQ(std::stod(row.at("agreement_lower")), entry["teacher_agreement_lower"].get<double>());
        EXPECT_EQ(std::stod(row.at("threshold")), entry["threshold"].get<double>());
        EXPECT_EQ(std::stod(row.at("test_coverage")), fresh["coverage"].get<double>());
        EXPECT_EQ(std::stod(row.at("test_agreement")), fresh["teacher_agreement"].get<double>());
      }
      EXPECT_EQ(found, 1);
    }
  }
}

TEST_F(CliSweep, OneDocumentWithEverything) {
  const Outcome o = sweep({"--json", "--json-file", "s.json", "--target-coverage", "0.99"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, slurp(folder.path("s.json")));
  const Json j = Json::parse(o.out);
  EXPECT_EQ(j["sizes"], Json::parse("[400,800,1600]"));
  EXPECT_EQ(j["seeds"], Json::parse("[0,1]"));
  EXPECT_EQ(j["test_rows"], 700);
  EXPECT_EQ(j["runs"].size(), 6u);
  EXPECT_EQ(j["summary"].size(), 6u);
  ASSERT_EQ(j["learning_curves"].size(), 2u);
  for (const Json& c : j["learning_curves"]) {
    if (c["plateau"].is_null()) {
      EXPECT_FALSE(c["reason"].get<std::string>().empty());
      continue;
    }
    EXPECT_EQ(c["target_coverage"], 0.99);
    EXPECT_LE(c["plateau_low"].get<double>(), c["plateau"].get<double>());
  }
  EXPECT_GT(j["peak_memory_bytes"].get<int64_t>(), 1 << 20);
  for (const char* phase : {"read", "search", "certify", "fresh", "total"}) EXPECT_TRUE(j["seconds"].contains(phase));
}

TEST_F(CliSweep, WritesNothingButWhatIsAskedFor) {
  ASSERT_EQ(sweep({}).code, 0);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.root())) names.insert(entry.path().filename().string());
  EXPECT_EQ(names,
            (std::set<std::string>{"fresh.jsonl", "fresh.npy", "log.jsonl", "log.npy", "stderr.txt", "stdout.txt"}));
}

TEST_F(CliSweep, SameBytesForAnyNumberOfThreads) {
  ASSERT_EQ(sweep({"--csv", "a.csv", "--svg", "a.svg", "--threads", "1"}).code, 0);
  ASSERT_EQ(sweep({"--csv", "b.csv", "--svg", "b.svg", "--threads", "3"}).code, 0);
  EXPECT_EQ(slurp(folder.path("a.csv")), slurp(folder.path("b.csv")));
  EXPECT_EQ(slurp(folder.path("a.svg")), slurp(folder.path("b.svg")));
}

TEST_F(CliSweep, SameBytesForAnyNumberOfFitsAtATime) {
  ASSERT_EQ(sweep({"--csv", "a.csv", "--state", "a.state"}).code, 0);
  for (const std::string jobs : {"2", "9"}) {
    ASSERT_EQ(sweep({"--csv", "b.csv", "--state", jobs + ".state", "--jobs", jobs}).code, 0);
    EXPECT_EQ(slurp(folder.path("a.csv")), slurp(folder.path("b.csv"))) << jobs;
  }
  // One goes on where another stopped: the state without its last two fits.
  std::istringstream lines(slurp(folder.path("a.state")));
  std::vector<std::string> kept;
  for (std::string line; std::getline(lines, line);) kept.push_back(line);
  ASSERT_EQ(kept.size(), 7u);
  std::string some;
  for (size_t i = 0; i < 5; ++i) some += kept[i] + "\n";
  folder.write("some.state", some);
  ASSERT_EQ(sweep({"--csv", "c.csv", "--state", "some.state", "--jobs", "2"}).code, 0);
  EXPECT_EQ(slurp(folder.path("a.csv")), slurp(folder.path("c.csv")));
  EXPECT_EQ(sweep({"--jobs", "0"}).code, 2);
}

TEST_F(CliSweep, ThePictureIsWellFormed) {
  folder.write("<b&\x1b.jsonl", slurp(folder.path("log.jsonl")));
  ASSERT_EQ(run({"sweep", "<b&\x1b.jsonl", "--embeddings", "log.npy", "--alphas", "0.8,0.9,0.9999", "--seeds", "1",
                 "--curve", "auto", "--svg", "s.svg", "-q"})
                .code,
            0);
  const std::string check =
      "python3 -c \"import xml.dom.minidom as m; d = m.parse('" + folder.path("s.svg") +
      "'); assert d.documentElement.tagName == 'svg'; assert len(d.getElementsByTagName('polyline')) >= 4\"";
  EXPECT_EQ(std::system(check.c_str()), 0);
  const std::string svg = slurp(folder.path("s.svg"));
  EXPECT_TRUE(contains(svg, "Coverage against the number of traces"));
  EXPECT_TRUE(contains(svg, "refused"));
  // One size, one alpha: one panel.
  ASSERT_EQ(run({"sweep", "log.jsonl", "--alphas", "0.8", "--seeds", "1", "--svg", "one.svg", "-q"}).code, 0);
  EXPECT_FALSE(contains(slurp(folder.path("one.svg")), "number of traces"));
}

TEST_F(CliSweep, GoesOnWhereItWasStopped) {
  ASSERT_EQ(sweep({"--csv", "whole.csv"}).code, 0);
  ASSERT_EQ(sweep({"--csv", "a.csv", "--state", "state"}).code, 0);
  const std::string whole = slurp(folder.path("whole.csv")), state = slurp(folder.path("state"));
  EXPECT_EQ(slurp(folder.path("a.csv")), whole);
  ASSERT_EQ(json_lines(state).size(), 7u);
  // Cut anywhere: between lines, inside one, inside the first.
  const size_t first = state.find('\n') + 1;
  for (const size_t cut : {size_t{0}, size_t{9}, first, first + 1, state.size() / 2, state.size() - 1, state.size()}) {
    folder.write("state", state.substr(0, cut));
    const Outcome o = sweep({"--csv", "b.csv", "--state", "state"});
    ASSERT_EQ(o.code, 0) << cut << o.err;
    EXPECT_EQ(slurp(folder.path("b.csv")), whole) << cut;
    EXPECT_EQ(json_lines(slurp(folder.path("state"))).size(), 7u) << cut;
  }
  // More seeds and sizes take over what there is.
  const Outcome more =
      run({"sweep", "log.jsonl", "--alphas", "0.8,0.9", "--seeds", "3", "--test", "fresh.jsonl", "--state", "state"});
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_TRUE(contains(more.err, "2 fits taken from state")) << more.err;
}

TEST_F(CliSweep, AKilledSweepGoesOn) {
  ASSERT_EQ(sweep({"--csv", "whole.csv"}).code, 0);
  const std::string binary = std::getenv("TRACER_TEST_BINARY");
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::string state = "state" + std::to_string(signal);
    std::vector<std::string> args = command({"--csv", "part.csv", "--state", state});
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::signal(SIGINT, SIG_DFL);
      std::vector<char*> argv = {const_cast<char*>(binary.c_str())};
      for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      if (::chdir(folder.root().c_str()) != 0) ::_exit(99);
      ::execv(binary.c_str(), argv.data());
      ::_exit(98);
    }
    // Once a fit is on the disk; the sweep may be done before it is killed, which is fine.
    for (int i = 0; i < 6000; ++i) {
      std::error_code none;
      if (fs::exists(folder.path(state), none) && slurp(folder.path(state)).find("\"points\"") != std::string::npos)
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(pid, signal);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
      EXPECT_EQ(WTERMSIG(status), signal);
      EXPECT_FALSE(fs::exists(folder.path("part.csv")));
    }
    const Outcome o = sweep({"--csv", "part.csv", "--state", state});
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(slurp(folder.path("part.csv")), slurp(folder.path("whole.csv")));
    fs::remove(folder.path("part.csv"));
  }
}

TEST_F(CliSweep, AStateOfSomethingElseIsAUsageError) {
  ASSERT_EQ(sweep({"--state", "state"}).code, 0);
  const std::string state = slurp(folder.path("state"));
  const std::vector<std::pair<std::vector<std::string>, std::string>> others = {
      {{"--delta", "0.1"}, "delta is 0.05 there and 0.1 here"},
      {{"--folds", "4"}, "folds is 5 there and 4 here"},
      {{"--embeddings", "other.npy"}, "rows_and_vectors"}};
  write_log(folder, "other", {.noise = 1.4, .seed = 9});
  for (const auto& [option, message] : others) {
    std::vector<std::string> more = {"--state", "state"};
    more.insert(more.end(), option.begin(), option.end());
    const Outcome o = sweep(more);
    EXPECT_EQ(o.code, 2) << message;
    EXPECT_TRUE(contains(o.err, message)) << o.err;
    EXPECT_EQ(slurp(folder.path("state")), state);
  }
  std::string damaged = state;
  damaged[state.find('\n') + 3] = '\x01';
  for (const std::string& text : {std::string("my notes"), std::string("{\"a\":1}\n"), std::string("\n"), damaged}) {
    folder.write("notes", text);
    const Outcome o = sweep({"--state", "notes"});
    EXPECT_EQ(o.code, 2) << text;
    EXPECT_TRUE(contains(o.err, "notes")) << o.err;
    EXPECT_EQ(slurp(folder.path("notes")), text);
  }
}

TEST_F(CliSweep, BadOptionsAreUsageErrors) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--alphas", "0.9,1"}, "alphas"},
      {{"--alphas", "nan"}, "alphas"},
      {{"--seeds", "0"}, "seeds"},
      {{"--seed", "-1"}, "seed"},
      {{"--curve", ""}, "--curve"},
      {{"--curve", "500,"}, "--curve"},
      {{"--curve", "0"}, "--curve"},
      {{"--curve", "1e3"}, "--curve"},
      {{"--curve", "99999999999999999999"}, "--curve"},
      {{"--target-coverage", "0.9"}, "--curve"},
      {{"--curve", "auto", "--target-coverage", "1"}, "target-coverage"},
      {{"--test-embeddings", "log.npy"}, "--test"},
      {{"--group-by", "k", "--split", "rows"}, "--group-by"},
      {{"--unit", "runs", "--split", "rows"}, "--unit"},
      {{"--csv", "log.jsonl"}, "--csv"},
      {{"--svg", "log.npy"}, "--svg"},
      {{"--csv", "x", "--state", "x"}, "--state"},
      {{"--csv", "-", "--json"}, "standard output"},
      {{"--state", "-"}, "--state"}};
  EXPECT_EQ(run({"sweep", "-", "--test", "-"}).code, 2);
  for (const auto& [options, word] : wrong) {
    std::vector<std::string> args = {"sweep", "log.jsonl"};
    args.insert(args.end(), options.begin(), options.end());
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << options[0] << " " << options.back() << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_TRUE(contains(o.err, word)) << o.err;
  }
  EXPECT_TRUE(contains(run({"sweep", "--help"}).out, "has no certificate"));
}

TEST_F(CliSweep, OutputsThatCannotBeMadeFailBeforeTheFits) {
  for (const char* option : {"--csv", "--svg", "--json-file", "--state"}) {
    const Outcome o = run({"sweep", "log.jsonl", option, "nowhere/file"});
    EXPECT_EQ(o.code, 1);
    EXPECT_TRUE(contains(o.err, "nowhere/file"));
    EXPECT_FALSE(contains(o.err, "fit 1 of"));
  }
  const Outcome csv = run({"sweep", "log.jsonl", "--alphas", "0.8", "--seeds", "1", "--csv", "-", "-q"});
  EXPECT_EQ(csv.code, 0);
  EXPECT_EQ(csv_rows(csv.out).size(), 1u);
}

TEST_F(CliSweep, LabelsThatTheLogDoesNotKnowCountAsDisagreements) {
  std::string text = slurp(folder.path("fresh.jsonl"));
  for (size_t at = 0; (at = text.find("label 0", at)) != std::string::npos; ++at) text[at + 6] = 'x';
  folder.write("strange.jsonl", text);
  const auto agree = [&](const char* test) {
    const Outcome o = run({"sweep", "log.jsonl", "--alphas", "0.8", "--seeds", "1", "--test", test, "--test-embeddings",
                           "fresh.npy", "--csv", "-", "-q"});
    EXPECT_EQ(o.code, 0) << o.err;
    return std::stod(csv_rows(o.out).at(0).at("test_agreement"));
  };
  EXPECT_LT(agree("strange.jsonl"), agree("fresh.jsonl") - 0.1);
}

TEST_F(CliSweep, GroupsAndTooFewTraces) {
  std::string grouped;
  const SmallLog log{.noise = 1.4};
  for (int64_t i = 0; i < log.rows; ++i) {
    Json j = Json::parse(small_row(log, i));
    j["session"] = i / 10;
    grouped += j.dump() + "\n";
  }
  folder.write("grouped.jsonl", grouped);
  const Outcome o = run({"sweep", "grouped.jsonl", "--embeddings", "log.npy", "--group-by", "session", "--alphas",
                         "0.8", "--seeds", "1", "--curve", "5,405", "--csv", "-", "-q"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto rows = csv_rows(o.out);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("n_rows"), "10");
  EXPECT_EQ(rows[0].at("certified"), "0");
  EXPECT_EQ(rows[0].at("coverage"), "0");
  EXPECT_EQ(rows[1].at("n_rows"), "410");
}

}  // namespace
}  // namespace tracer
