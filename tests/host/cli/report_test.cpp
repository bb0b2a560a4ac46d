#include <set>

#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::slurp;

class CliReport : public CliTest {
 protected:
  Json data_of(const std::string& page) {
    const std::string open = "<script type=\"application/json\" id=\"data\">";
    const size_t from = page.find(open), to = page.find("</script>", from);
    EXPECT_NE(from, std::string::npos);
    return from == std::string::npos ? Json() : Json::parse(page.substr(from + open.size(), to - from - open.size()));
  }
  Json page_of(std::vector<std::string> args = {}) {
    args.insert(args.begin(), {"report", "p", "--html", "page.html", "-q"});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 0) << o.err;
    return data_of(slurp(folder.path("page.html")));
  }
};

TEST_F(CliReport, ThePagesFiguresAreThoseOfExplain) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Outcome plain = run({"report", "p"}), with_page = run({"report", "p", "--html", "page.html"});
  ASSERT_EQ(with_page.code, 0) << with_page.err;
  EXPECT_EQ(with_page.out, plain.out);
  EXPECT_TRUE(io::contains(with_page.err, "page in page.html\n"));
  const Json data = data_of(slurp(folder.path("page.html")));
  EXPECT_EQ(data["explain"], Json::parse(run({"explain", "p", "--json"}).out));
  EXPECT_EQ(data["frontier"], Json::parse(run({"report", "p", "--json"}).out)["frontier"]);
  const Json rows = [&] {
    EXPECT_EQ(run({"explain", "p", "--rows", "rows.jsonl", "-q"}).code, 0);
    return Json(json_lines(slurp(folder.path("rows.jsonl"))));
  }();
  const Json& map = data["map"];
  ASSERT_EQ(map["line"].size(), rows.size());
  std::set<std::pair<int, int>> places;
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(map["line"][i], rows[i]["line"]);
    EXPECT_EQ(map["labels"][map["teacher"][i].get<size_t>()], rows[i]["teacher"]);
    EXPECT_EQ(map["labels"][map["surrogate"][i].get<size_t>()], rows[i]["surrogate"]);
    EXPECT_EQ(map["why"][i] == 0, rows[i]["why"] == "handled");
    EXPECT_NEAR(map["score"][i].get<double>(), rows[i]["score"].get<double>(), 0.0005001);
    for (const char* axis : {"x", "y", "px", "py"}) {
      ASSERT_GE(map[axis][i].get<int>(), 0);
      ASSERT_LE(map[axis][i].get<int>(), 4095);
    }
    places.emplace(map["x"][i].get<int>(), map["y"][i].get<int>());
  }
  EXPECT_GT(places.size(), rows.size() * 9 / 10);
}

TEST_F(CliReport, SameBytesWhateverTheThreads) {
  fit_policy();
  ASSERT_EQ(run({"report", "p", "--html", "one.html", "--threads", "1"}).code, 0);
  ASSERT_EQ(run({"report", "p", "--html", "two.html", "--threads", "3"}).code, 0);
  EXPECT_TRUE(slurp(folder.path("one.html")) == slurp(folder.path("two.html")));
}

TEST_F(CliReport, APageOnStandardOutputStandsAlone) {
  fit_policy();
  const Outcome o = run({"report", "p", "--html", "-"});
  ASSERT_EQ(o.code, 0) << o.err;
  ASSERT_EQ(run({"report", "p", "--html", "page.html"}).code, 0);
  EXPECT_TRUE(o.out == slurp(folder.path("page.html")));
  EXPECT_NE(::access(folder.path("-").c_str(), F_OK), 0);
  EXPECT_EQ(run({"report", "p", "--html", "-", "--json"}).code, 2);
  EXPECT_EQ(run_tracer(folder, {"report", "p", "--html", "-"}, "/dev/null", "/dev/full").code, 1);
}

TEST_F(CliReport, FreshRowsAndRefusalsHaveAPageToo) {
  write_log(folder, "log", {.noise = 3});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.99", "-o", "p", "-q"}).code, 3);
  const Json refused = page_of();
  EXPECT_EQ(refused["certificate"]["certified"], false);
  EXPECT_EQ(refused["explain"]["n_handled"], 0);
  write_log(folder, "fresh", {.rows = 11'000, .seed = 5});
  const Json fresh = page_of({"--traces", "fresh.jsonl", "--alpha", "0.9"});
  EXPECT_EQ(fresh["explain"]["rows"]["kind"], "given");
  EXPECT_EQ(fresh["explain"]["n"], 11'000);
  EXPECT_EQ(fresh["certificate"]["alpha"], 0.9);
  EXPECT_EQ(fresh["map"]["line"].size(), 10'000u);  // a sample
  EXPECT_EQ(run({"report", "p", "--html", "x.html", "--alpha", "0.123"}).code, 3);
  EXPECT_EQ(run({"report", "p", "--alpha", "0.9"}).code, 2);  // of the page
}

TEST_F(CliReport, LongTextsAreCutTo2Megabytes) {
  SmallLog small{.rows = 10'000, .noise = 1.6};
  write_log(folder, "log", small);
  fit_policy();
  std::string text;
  for (int64_t i = 0; i < small.rows; ++i) {
    Json row = Json::parse(small_row(small, i));
    row["input"] = i % 100 == 0 ? std::string(100'000, '<') : std::string(600, '&') + std::to_string(i);
    text += row.dump() + "\n";
  }
  write_log(folder, "fresh", small);
  folder.write("fresh.jsonl", text);
  page_of({"--traces", "fresh.jsonl"});
  EXPECT_LT(slurp(folder.path("page.html")).size(), 2'000'000u);
}

TEST_F(CliReport, ThePageOverwritesNothingThatItIsMadeOf) {
  fit_policy();
  const std::string log = slurp(folder.path("log.jsonl"));
  for (const std::string output : {"p/page.html", "log.jsonl", "log.npy", "rejects.jsonl"})
    EXPECT_EQ(run({"report", "p", "--html", output}).code, 2) << output;
  EXPECT_TRUE(slurp(folder.path("log.jsonl")) == log);
}

}  // namespace
}  // namespace tracer
