// Runs the real binary as a user would, on small logs made here.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/maths/random.h"
#include "tests/host/io_test_util.h"
#include "tests/host/npy_file.h"

namespace tracer {

using Json = nlohmann::ordered_json;

struct Outcome {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
  int64_t peak_kib = 0;  // resident set
};

// Runs `tracer ARGS` in folder.root(); standard input from a file when given, output to out_path when given.
inline Outcome run_tracer(const io::TempFolder& folder, const std::vector<std::string>& args,
                          const std::string& in_path = "/dev/null", std::string out_path = "") {
  const char* binary = std::getenv("TRACER_TEST_BINARY");
  EXPECT_NE(binary, nullptr) << "run the tests through ctest";
  const bool own = out_path.empty();
  if (own) out_path = folder.path("stdout.txt");
  const std::string err_path = folder.path("stderr.txt");
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int in = ::open(in_path.c_str(), O_RDONLY),
              out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666),
              err = ::open(err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (in < 0 || out < 0 || err < 0 || ::chdir(folder.root().c_str()) != 0) ::_exit(99);
    ::dup2(in, 0), ::dup2(out, 1), ::dup2(err, 2);
    std::vector<char*> argv = {const_cast<char*>(binary)};
    for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::execv(binary, argv.data());
    ::_exit(98);
  }
  int status = 0;
  struct rusage usage {};
  ::wait4(pid, &status, 0, &usage);
  Outcome o;
  o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  o.peak_kib = usage.ru_maxrss;
  if (own) o.out = io::slurp(out_path);
  o.err = io::slurp(err_path);
  return o;
}

// A log of `rows` rows around `labels` centres; noise mixes neighbouring labels (0.5: hardly ever).
struct SmallLog {
  int64_t rows = 1600;
  int64_t labels = 4;
  int64_t dim = 16;
  double noise = 0.5;
  uint64_t seed = 1;
  bool with_id = true;
};

inline std::string small_row(const SmallLog& log, int64_t i) {
  const int64_t label = Random(log.seed, Stream::kRows).below(static_cast<uint64_t>(i), log.labels);
  Json j;
  if (log.with_id) j["id"] = "r" + std::to_string(i);
  j["input"] = "text number " + std::to_string(i);
  j["teacher"] = "label " + std::to_string(label);
  return j.dump();
}

// Writes NAME.jsonl and NAME.npy; returns the path of the first.
inline std::string write_log(const io::TempFolder& folder, const std::string& name, const SmallLog& log) {
  const Random pick(log.seed, Stream::kRows), noise(log.seed, Stream::kPosterior);
  Matrix<float> x(log.rows, log.dim);
  std::string text;
  for (int64_t i = 0; i < log.rows; ++i) {
    const int64_t label = pick.below(static_cast<uint64_t>(i), log.labels);
    for (int64_t d = 0; d < log.dim; ++d)
      x(i, d) = static_cast<float>((d == label ? 3.0 : 0.0) +
                                   log.noise * noise.normal(static_cast<uint64_t>(i * log.dim + d)));
    text += small_row(log, i) + "\n";
  }
  io::write_npy(folder.path(name + ".npy"), x.view());
  return folder.write(name + ".jsonl", text);
}

// Likewise of rows made elsewhere: label[i] is what the teacher said of row i.
inline void write_labelled(const io::TempFolder& folder, const std::string& name, HostMatrix<const float> x,
                           const std::vector<int32_t>& label) {
  std::string text;
  for (size_t i = 0; i < label.size(); ++i) {
    const std::string n = std::to_string(i);
    text +=
        Json{{"id", "r" + n}, {"input", "text " + n}, {"teacher", "label " + std::to_string(label[i])}}.dump() + "\n";
  }
  io::write_npy(folder.path(name + ".npy"), x);
  folder.write(name + ".jsonl", text);
}

// A folder, the binary in it, and a policy.
class CliTest : public ::testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& args, const std::string& in = "/dev/null") {
    return run_tracer(folder, args, in);
  }
  // A policy certified at 0.9 in folder/p, fitted on log.jsonl.
  void fit_policy() {
    write_log(folder, "log", {});
    const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
  }
  io::TempFolder folder;
};

inline std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

}  // namespace tracer
