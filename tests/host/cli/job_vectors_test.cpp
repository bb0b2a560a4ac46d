// Where vectors were given: from a job's answers to `tracer update`, with the vectors of the exported rows.
#include <algorithm>
#include <filesystem>

#include "host/encoder/encoder_identity.h"
#include "tests/host/cli_process.h"
#include "tests/host/mock_server.h"

namespace tracer {
namespace {

using io::contains;

class CliJobVectors : public CliTest {
 protected:
  static constexpr int64_t kRows = 600;

  void SetUp() override {
    SmallLog log;
    log.rows = 1200, log.noise = 1.2;
    write_log(folder, "log", log);
    ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"}).code, 0);
    log.rows = kRows, log.seed = 2;
    write_log(folder, "q", log);
  }
  // Rows that cannot be read, which keep their vectors.
  void break_lines(const std::vector<size_t>& bad) {
    std::string text;
    size_t i = 0;
    for (const Json& row : json_lines(io::slurp(folder.path("q.jsonl")))) {
      const bool is_bad = std::find(bad.begin(), bad.end(), i++) != bad.end();
      text += (is_bad ? "{\"id\":1}" : row.dump()) + "\n\n";  // blank lines are no rows
    }
    folder.write("q.jsonl", text);
  }
  void run_job(int code) {
    MockLlm mock;
    const Outcome o = run({"run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url", mock.address() + "/v1", "--llm-model",
                           "m", "--audit-rate", "0.3", "--audit-seed", "3", "--quiet"});
    ASSERT_EQ(o.code, code) << o.err;
  }
  Outcome export_job(std::vector<std::string> more) {
    std::vector<std::string> args = {"job", "export", "out.jsonl", "-o", "new.jsonl", "--vectors", "q.npy"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  Matrix<float> vectors(const std::string& name) {
    auto reader = io::NpyReader::open(folder.path(name));
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    Matrix<float> x(reader->rows(), reader->cols());
    EXPECT_TRUE(reader->read_rows(0, x.rows(), x.view()).ok());
    return x;
  }
  // Each trace has the vector that its row had in q: rows are named r0, r1, ... there.
  void expect_aligned() {
    const auto rows = json_lines(io::slurp(folder.path("new.jsonl")));
    const Matrix<float> from = vectors("q.npy"), to = vectors("new.npy");
    ASSERT_EQ(to.rows(), static_cast<int64_t>(rows.size()));
    ASSERT_GT(to.rows(), kRows / 4);
    for (int64_t i = 0; i < to.rows(); ++i) {
      const int64_t at = std::stoll(rows[i]["id"].get<std::string>().substr(1));
      for (int64_t d = 0; d < to.cols(); ++d) ASSERT_EQ(to(i, d), from(at, d)) << rows[i];
    }
  }
};

TEST_F(CliJobVectors, GoFromTheJobIntoTheUpdate) {
  const EncoderIdentity encoder{"e", "d1", "float32", 16, 128, "somewhere", "", ""};
  ASSERT_TRUE(write_vector_note(folder.path("q.npy"), encoder).ok());
  run_job(0);
  const Outcome o = export_job({});
  ASSERT_EQ(o.code, 0) << o.err;
  expect_aligned();
  const auto noted = read_vector_note(folder.path("new.npy"));
  ASSERT_TRUE(noted.ok()) << noted.status().message();
  EXPECT_TRUE(noted->known() && noted->makes_vectors_of(encoder));
  const Outcome updated = run({"update", "p", "new.jsonl", "--json"});
  ASSERT_EQ(updated.code, 0) << updated.err;
  const Json rows = Json::parse(updated.out)["rows"];
  EXPECT_EQ(rows["new"].get<int64_t>(), vectors("new.npy").rows());
  EXPECT_GT(rows["audit"], kRows / 5);
  EXPECT_GT(rows["deferred"], 0);
}

TEST_F(CliJobVectors, RowsThatCouldNotBeReadAreCountedWithTheInputAtHand) {
  break_lines({5, 6, 300});
  run_job(4);
  Outcome o = export_job({});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "q.npy: expected 597 vectors, one for each row that the job has routed, found 600; "))
      << o.err;
  EXPECT_TRUE(contains(o.err, "--input")) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("new.npy")));
  o = export_job({"--input", "q.jsonl"});
  ASSERT_EQ(o.code, 0) << o.err;
  expect_aligned();
  EXPECT_EQ(run({"update", "p", "new.jsonl", "--quiet"}).code, 0);
}

TEST_F(CliJobVectors, WhatIsNotTheJobsIsRefused) {
  run_job(0);
  // Another input: other texts, then too few rows.
  const std::string text = io::slurp(folder.path("q.jsonl"));
  std::string other = text;
  for (size_t at = 0; (at = other.find("text number", at)) != std::string::npos; ++at) other[at] = 'T';
  folder.write("other.jsonl", other);
  EXPECT_TRUE(contains(export_job({"--input", "other.jsonl"}).err, "not the job's input: line "));
  folder.write("other.jsonl", text.substr(0, text.find('\n') + 1));
  EXPECT_TRUE(contains(export_job({"--input", "other.jsonl"}).err, "not the job's input: it ends before row "));
  // One that has gained a row since.
  folder.write("other.jsonl", text + "{\"input\":\"one more\"}\n");
  const Outcome o = export_job({"--input", "other.jsonl"});
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(contains(o.err, "q.npy: expected 601 vectors, one for each row of other.jsonl, found 600")) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("new.npy")));
  // Nor may anything that is read be overwritten, nor vectors be asked for where there is no beside.
  EXPECT_EQ(run({"job", "export", "out.jsonl", "-o", "-", "--vectors", "q.npy"}).code, 2);
  EXPECT_EQ(run({"job", "export", "out.jsonl", "-o", "q.jsonl", "--vectors", "q.npy"}).code, 2);
  EXPECT_EQ(run({"job", "export", "out.jsonl", "-o", "new.jsonl", "--input", "q.jsonl"}).code, 2);
  EXPECT_EQ(io::slurp(folder.path("q.jsonl")), text);
}

}  // namespace
}  // namespace tracer
