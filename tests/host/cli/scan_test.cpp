#include <filesystem>

#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::slurp;

class CliScan : public CliTest {};

TEST_F(CliScan, SaysWhatCouldBeHandledAndWhatItSaves) {
  write_log(folder, "log", {.rows = 2000, .noise = 0.5});
  const Outcome o = run({"scan", "log.jsonl", "--alpha", "0.9", "--price-in", "2", "--price-out", "10", "--tokens-in",
                         "1000", "--tokens-out", "10", "--calls-per-day", "5000", "-o", "scan.json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json d = Json::parse(slurp(folder.path("scan.json")));
  EXPECT_EQ(d["certified"], true);
  EXPECT_EQ(d["split"]["n_vote"].get<int64_t>() > d["split"]["n_certify"].get<int64_t>(), true);
  EXPECT_LE(d["handled"]["lower"], d["handled"]["share"]);
  EXPECT_GE(d["handled"]["upper"], d["handled"]["share"]);
  EXPECT_DOUBLE_EQ(d["saving"]["call_usd"], 0.0021);
  EXPECT_DOUBLE_EQ(d["saving"]["a_day_usd"]["share"], 0.0021 * 5000 * d["handled"]["share"].get<double>());
  EXPECT_EQ(d["saving"]["tokens_are_guessed"], false);
  int64_t rows = 0;
  for (const Json& cell : d["cells"]) rows += cell["rows"].get<int64_t>();
  EXPECT_EQ(rows, d["split"]["n_certify"].get<int64_t>());
  EXPECT_NE(o.out.find("USD a day ("), std::string::npos) << o.out;
  // The same document on standard output, in both ways.
  const Outcome json = run({"scan", "log.jsonl", "--alpha", "0.9", "--price-in", "2", "--price-out", "10",
                            "--tokens-in", "1000", "--tokens-out", "10", "--calls-per-day", "5000", "--json"});
  EXPECT_EQ(Json::parse(json.out), d);
  const Outcome dash = run({"scan", "log.jsonl", "--alpha", "0.9", "-o", "-"});
  EXPECT_EQ(Json::parse(dash.out)["handled"], d["handled"]);
  EXPECT_FALSE(std::filesystem::exists(folder.path("-")));
}

TEST_F(CliScan, WhatIsNotProvedIsExitCode3) {
  write_log(folder, "log", {.rows = 2000, .noise = 6});
  const Outcome o = run({"scan", "log.jsonl", "--alpha", "0.95", "--price-in", "2"});
  EXPECT_EQ(o.code, 3) << o.err;
  EXPECT_NE(o.out.find("proves nothing"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("saving: none that is proved"), std::string::npos) << o.out;
}

TEST_F(CliScan, AShortLogIsRefusedUnlessForced) {
  write_log(folder, "log", {.rows = 300, .noise = 0.5});
  const Outcome refused = run({"scan", "log.jsonl", "--alpha", "0.95"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("300 rows"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("472"), std::string::npos) << refused.err;
  const Outcome forced = run({"scan", "log.jsonl", "--alpha", "0.95", "--force", "--json"});
  EXPECT_TRUE(forced.code == 0 || forced.code == 3) << forced.err;
  EXPECT_EQ(Json::parse(forced.out)["rows"], 300);
}

TEST_F(CliScan, UsageErrors) {
  write_log(folder, "log", {.rows = 900});
  EXPECT_EQ(run({"scan", "log.jsonl", "--calls-per-day", "5"}).code, 2);
  EXPECT_EQ(run({"scan", "log.jsonl", "--alpha", "1"}).code, 2);
  EXPECT_EQ(run({"scan", "log.jsonl", "--price-in", "-1"}).code, 2);
  EXPECT_EQ(run({"scan", "log.jsonl", "-o", "log.jsonl"}).code, 2);
  EXPECT_EQ(run({"scan", "absent.jsonl"}).code, 1);
}

TEST_F(CliScan, APageShowsTheDocument) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.0});
  const Outcome o = run({"scan", "log.jsonl", "--alpha", "0.9", "--html", "scan.html", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = slurp(folder.path("scan.html"));
  const std::string open = "id=\"data\">";
  const size_t from = page.find(open) + open.size();
  const Json data = Json::parse(page.substr(from, page.find("</script>", from) - from)), document = Json::parse(o.out);
  EXPECT_EQ(data["scan"], document);
  const Json& map = data["map"];
  ASSERT_EQ(map["line"].size(), document["split"]["n_certify"]);
  // A cell's rows and the handled ones among them, dot by dot.
  std::vector<int64_t> rows(document["cells"].size()), handled(rows.size());
  for (size_t i = 0; i < map["region"].size(); ++i) {
    ++rows[map["region"][i].get<size_t>()];
    handled[map["region"][i].get<size_t>()] += map["why"][i] == 0;
  }
  for (size_t c = 0; c < rows.size(); ++c) {
    EXPECT_EQ(document["cells"][c]["rows"], rows[c]);
    EXPECT_EQ(document["cells"][c]["handled"], handled[c]);
  }
  const Outcome same = run({"scan", "log.jsonl", "--alpha", "0.9", "--html", "-", "--threads", "2", "-q"});
  EXPECT_EQ(same.code, 0);
  EXPECT_TRUE(same.out == page);
  EXPECT_EQ(run({"scan", "log.jsonl", "--html", "-", "--json"}).code, 2);
  EXPECT_EQ(run({"scan", "log.jsonl", "--html", "log.npy"}).code, 2);
  write_log(folder, "noise", {.rows = 1200, .noise = 5});
  EXPECT_EQ(run({"scan", "noise.jsonl", "--alpha", "0.99", "--html", "noise.html", "--force", "-q"}).code, 3);
  EXPECT_NE(slurp(folder.path("noise.html")).find("TRACER scan"), std::string::npos);
  write_log(folder, "tiny", {.rows = 3});
  EXPECT_EQ(run({"scan", "tiny.jsonl", "--html", "tiny.html", "--force", "-q"}).code, 3);
  EXPECT_NE(slurp(folder.path("tiny.html")).find("TRACER scan"), std::string::npos);
}

}  // namespace
}  // namespace tracer
