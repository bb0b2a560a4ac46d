// The library fits as the command does: the same bytes, and the ledger cannot be passed by.
#include "host/api/fit.h"

#include <gtest/gtest.h>

#include "host/api/fit_request.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

class ApiFitTest : public CliTest {
 protected:
  ApiFitTest() : device(open_device({"cpu", 2}).value()) {}
  LogSource source() {
    LogSource s;
    s.rows.traces = folder.path("log.jsonl");
    s.rows.rejects = folder.path("rejects.jsonl");
    return s;
  }
  FitRequest request() {
    FitRequest r;
    r.alpha = 0.9;
    return r;
  }
  // The rows of small_row() with the vectors of write_log().
  LogRows columns(const SmallLog& log) {
    LogRows c;
    for (int64_t i = 0; i < log.rows; ++i) {
      const Json row = Json::parse(small_row(log, i));
      c.texts.push_back(row["input"].get<std::string>());
      c.labels.push_back(row["teacher"].get<std::string>());
      c.ids.push_back(row["id"].get<std::string>());
    }
    auto reader = io::NpyReader::open(folder.path("log.npy"));
    c.vectors = Matrix<float>(reader->rows(), reader->cols());
    EXPECT_TRUE(reader->read_rows(0, c.vectors.rows(), c.vectors.view()).ok());
    return c;
  }
  Device device;
};

TEST_F(ApiFitTest, WritesTheBytesOfTheCommand) {
  write_log(folder, "log", {});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "command"}).code, 0);
  LogSource log = source();
  log.rows.traces = "log.jsonl";  // the path is part of the record
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(folder.root());
  const auto report = tracer::fit_policy(device, log, request(), "library", {});
  std::filesystem::current_path(before);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->certified);
  EXPECT_EQ(report->rows, 1600);
  EXPECT_EQ(report->labels, 4);
  ASSERT_EQ(report->targets.size(), 7u);
  EXPECT_TRUE(report->targets[2].certified && report->targets[2].coverage && report->targets[2].agreement_lower);
  for (const char* part : {"manifest.json", "certificate.json", "weights.safetensors", "explain.json", "ledger.json"})
    EXPECT_EQ(io::slurp(folder.path(std::string("library/") + part)),
              io::slurp(folder.path(std::string("command/") + part)))
        << part;
}

TEST_F(ApiFitTest, ASecondLookProvesNothing) {
  write_log(folder, "log", {});
  ASSERT_TRUE(tracer::fit_policy(device, source(), request(), folder.path("p"), {}).ok());
  const std::string manifest = io::slurp(folder.path("p/manifest.json"));
  FitRequest other = request();
  other.split.seed = 1;
  const auto report = tracer::fit_policy(device, source(), other, folder.path("p"), {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_FALSE(report->certified);
  EXPECT_TRUE(io::contains(report->void_reason, "--looks"));
  auto rows = columns({});
  auto log = Log::from_rows(device, std::move(rows), {}, {}, {});
  ASSERT_TRUE(log.ok()) << log.status().message();
  const auto in_memory = tracer::fit_policy(device, std::move(log).value(), other, folder.path("p"), {});
  ASSERT_TRUE(in_memory.ok()) << in_memory.status().message();
  EXPECT_FALSE(in_memory->certified) << "the same rows, whatever they came in";
}

TEST_F(ApiFitTest, RowsInMemoryGiveTheCertificatesOfTheFile) {
  write_log(folder, "log", {});
  const auto file = tracer::fit_policy(device, source(), request(), folder.path("file"), {});
  auto log = Log::from_rows(device, columns({}), {}, {}, {});
  ASSERT_TRUE(log.ok()) << log.status().message();
  EXPECT_EQ(log->rows(), 1600);
  EXPECT_EQ(log->dimension(), 16);
  EXPECT_EQ(log->labels().size(), 4u);
  const auto memory = tracer::fit_policy(device, std::move(log).value(), request(), folder.path("memory"), {});
  ASSERT_TRUE(file.ok() && memory.ok());
  const auto certificates = [&](const char* policy) {
    Json json = Json::parse(io::slurp(folder.path(std::string(policy) + "/certificate.json")));
    json.erase("data_sha256");  // of the file's bytes, or of the columns
    return json;
  };
  EXPECT_EQ(certificates("file"), certificates("memory"));
}

TEST_F(ApiFitTest, ColumnsThatDoNotGoTogetherAreNamed) {
  write_log(folder, "log", {});
  const auto field_of = [&](const std::function<void(LogRows&)>& spoil) {
    LogRows c = columns({});
    spoil(c);
    return Log::from_rows(device, std::move(c), {}, {}, {}).status().field();
  };
  EXPECT_EQ(field_of([](LogRows& c) { c.texts.pop_back(); }), "texts");
  EXPECT_EQ(field_of([](LogRows& c) { c.ids.pop_back(); }), "ids");
  EXPECT_EQ(field_of([](LogRows& c) { c.groups = {"one"}; }), "groups");
  EXPECT_EQ(field_of([](LogRows& c) { c.times = {1, 2}; }), "times");
  EXPECT_EQ(field_of([](LogRows& c) { c.vectors = Matrix<float>(3, 16); }), "vectors");
  EXPECT_EQ(field_of([](LogRows& c) { c.texts.clear(), c.vectors = Matrix<float>(); }), "vectors");
  LogRows unlabelled = columns({});
  unlabelled.labels[4].clear();
  EXPECT_TRUE(io::contains(Log::from_rows(device, std::move(unlabelled), {}, {}, {}).status().message(), "row 5"));
}

TEST_F(ApiFitTest, OptionsAtFaultAreFields) {
  write_log(folder, "log", {});
  const auto field_of = [&](const std::function<void(FitRequest&, LogSource&)>& spoil) {
    FitRequest r = request();
    LogSource s = source();
    spoil(r, s);
    return tracer::fit_policy(device, s, r, folder.path("p"), {}).status().field();
  };
  EXPECT_EQ(field_of([](FitRequest& r, LogSource&) { r.split.kind = "sideways"; }), "split");
  EXPECT_EQ(field_of([](FitRequest& r, LogSource&) { r.split.kind = "rows", r.split.unit = "runs"; }), "unit");
  EXPECT_EQ(field_of([](FitRequest& r, LogSource& s) { r.split.kind = "rows", s.group_by = "k"; }), "group_by");
  EXPECT_EQ(field_of([](FitRequest& r, LogSource&) { r.surrogate.members = {"softmax"}; }), "members");
  EXPECT_EQ(field_of([](FitRequest& r, LogSource&) { r.surrogate.families = {"global", "l2d", "x"}; }), "families");
  EXPECT_EQ(field_of([](FitRequest& r, LogSource&) { r.never = {"no such label"}; }), "never");
  EXPECT_EQ(field_of([](FitRequest&, LogSource& s) { s.encoder.precision = "int8"; }), "precision");
  EXPECT_EQ(field_of([&](FitRequest&, LogSource& s) { s.rows.rejects = s.rows.traces; }), "rejects");
}

// What the public header says is what the engine does by default.
TEST(FitRequestDefaults, AreTheEngines) {
  const auto options = fit_options({}, "");
  ASSERT_TRUE(options.ok());
  const FitOptions engine;
  EXPECT_EQ(options->alpha, engine.alpha);
  EXPECT_EQ(options->sweep, engine.sweep);
  EXPECT_EQ(options->delta, engine.delta);
  EXPECT_EQ(options->min_coverage, engine.min_coverage);
  EXPECT_EQ(options->looks, engine.looks);
  EXPECT_EQ(options->simultaneous, engine.simultaneous);
  EXPECT_EQ(options->unit, engine.unit);
  EXPECT_EQ(options->split.kind, engine.split.kind);
  EXPECT_EQ(options->split.certify_fraction, engine.split.certify_fraction);
  EXPECT_EQ(options->split.folds, engine.split.folds);
  EXPECT_EQ(options->split.seed, engine.split.seed);
  EXPECT_EQ(options->max_references, engine.max_references);
  EXPECT_EQ(options->choices.gate_share, engine.choices.gate_share);
  EXPECT_EQ(options->label_floor, engine.label_floor);
  EXPECT_EQ(options->cascade_tolerance, engine.cascade_tolerance);
}

}  // namespace
}  // namespace tracer
