#include <algorithm>
#include <map>
#include <numeric>

#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::slurp;

class CliExplain : public CliTest {
 protected:
  Json explain(std::vector<std::string> args = {}) {
    args.insert(args.begin(), {"explain", "p", "--json"});
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.code == 0 ? Json::parse(o.out) : Json();
  }
  Json certificate(double alpha) {
    const Json all = Json::parse(slurp(folder.path("p/certificate.json")));
    for (const Json& c : all["certificates"])
      if (c["alpha"] == alpha) return c;
    return {};
  }
  static bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
};

int64_t sum_of(const Json& entries, const char* field) {
  return std::accumulate(entries.begin(), entries.end(), int64_t{0},
                         [&](int64_t n, const Json& e) { return n + e[field].get<int64_t>(); });
}

void expect_whole(const Json& d) {
  const auto deferred = d["n"].get<int64_t>() - d["n_handled"].get<int64_t>();
  EXPECT_EQ(sum_of(d["reasons"], "n"), deferred);
  double share = 0;
  for (const Json& r : d["reasons"])
    if (r["share"].is_number()) share += r["share"].get<double>();
  EXPECT_NEAR(share, deferred > 0 ? 1 : 0, 1e-12);
}

// Rows that overlap: some are deferred.
TEST_F(CliExplain, TheCertifyRowsGiveTheCertificatesFigures) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Json before = Json::parse(slurp(folder.path("p/manifest.json")));
  const Outcome read = run({"explain", "p", "--rows", "rows.jsonl"});
  ASSERT_EQ(read.code, 0) << read.err;
  EXPECT_TRUE(contains(read.out, "certify rows of log.jsonl, alpha 0.9: ")) << read.out;
  EXPECT_TRUE(contains(read.out, " were deferred:\n")) << read.out;
  EXPECT_TRUE(contains(read.out, "all of it in explain.json\n")) << read.out;
  const Json d = Json::parse(slurp(folder.path("explain.json")));
  EXPECT_EQ(d, explain());
  const Json c = certificate(0.9);
  EXPECT_EQ(d["n"], c["n_certify"]);
  EXPECT_EQ(d["n_handled"], c["n_handled"]);
  EXPECT_EQ(d["n_agree"], c["n_agree"]);
  EXPECT_LT(d["n_handled"], d["n"]);
  expect_whole(d);
  EXPECT_EQ(sum_of(d["labels"], "n"), d["n"]);
  ASSERT_GT(d["regions"].size(), 1u);
  EXPECT_EQ(sum_of(d["regions"], "n"), d["n"]);
  EXPECT_EQ(sum_of(d["regions"], "n_handled"), d["n_handled"]);
  EXPECT_FALSE(d["boundary"].empty());
  for (const Json& pair : d["boundary"]) EXPECT_EQ(pair["handled"]["teacher"], pair["deferred"]["teacher"]);
  EXPECT_EQ(Json::parse(slurp(folder.path("p/manifest.json"))), before);  // the policy is as it was

  const auto rows = json_lines(slurp(folder.path("rows.jsonl")));
  ASSERT_EQ(rows.size(), d["n"].get<size_t>());
  std::map<std::string, int64_t> why;
  for (const Json& r : rows) ++why[r["why"].get<std::string>()];
  for (const Json& r : d["reasons"]) EXPECT_EQ(why[r["reason"].get<std::string>()], r["n"]) << r;
  EXPECT_EQ(why["handled"], d["n_handled"]);
  for (const Json& s : d["suspects"]) EXPECT_NE(s["teacher"], s["surrogate"]);
}

TEST_F(CliExplain, RowsOfAnotherFileAreAllLookedAt) {
  fit_policy();
  write_log(folder, "fresh", {.rows = 300, .noise = 1.6, .seed = 5});
  const Json d = explain({"--traces", "fresh.jsonl", "-o", "fresh.json"});
  EXPECT_EQ(d["rows"]["kind"], "given");
  EXPECT_EQ(d["n"], 300);
  expect_whole(d);
  EXPECT_EQ(Json::parse(slurp(folder.path("fresh.json"))), d);
  const Json evaluated = Json::parse(run({"evaluate", "p", "fresh.jsonl", "--json"}).out);
  EXPECT_EQ(evaluated["handled"], d["n_handled"]);
  EXPECT_EQ(evaluated["teacher_agreement"], d["teacher_agreement"]);
  // The log under another name is still the log.
  folder.write("copy.jsonl", slurp(folder.path("log.jsonl")));
  folder.write("copy.npy", slurp(folder.path("log.npy")));
  EXPECT_EQ(explain({"--traces", "copy.jsonl"})["rows"]["kind"], "certify");
  // With a line more it is another file, of rows the policy has seen.
  folder.write("copy.jsonl", slurp(folder.path("log.jsonl")) + "\n");
  const Outcome seen = run({"explain", "p", "--traces", "copy.jsonl"});
  EXPECT_EQ(seen.code, 0) << seen.err;
  EXPECT_TRUE(contains(seen.err, "were they part of its log?")) << seen.err;
}

TEST_F(CliExplain, ADashIsStandardOutput) {
  fit_policy();
  const Json d = explain();
  const Outcome document = run({"explain", "p", "-o", "-"});
  ASSERT_EQ(document.code, 0) << document.err;
  EXPECT_EQ(Json::parse(document.out), d);
  const Outcome rows = run({"explain", "p", "--rows", "-"});
  ASSERT_EQ(rows.code, 0) << rows.err;
  EXPECT_EQ(json_lines(rows.out).size(), d["n"].get<size_t>());
  EXPECT_TRUE(contains(rows.err, "certify rows of log.jsonl")) << rows.err;
  EXPECT_NE(::access(folder.path("-").c_str(), F_OK), 0);
  EXPECT_EQ(run({"explain", "p", "-o", "-", "--rows", "-"}).code, 2);
  EXPECT_EQ(run({"explain", "p", "-o", "-", "--json"}).code, 2);
  EXPECT_EQ(run({"explain", "p", "--rows", "-", "--json"}).code, 2);
  EXPECT_EQ(run_tracer(folder, {"explain", "p", "-o", "-"}, "/dev/null", "/dev/full").code, 1);
}

TEST_F(CliExplain, OneLabelIsExplainedByItself) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Json all = explain(), one = explain({"--label", "label 1"});
  expect_whole(one);
  EXPECT_LT(one["n"], all["n"]);
  EXPECT_TRUE(one["regions"].empty());
  for (const Json& s : one["suspects"]) EXPECT_TRUE(s["teacher"] == "label 1" || s["surrogate"] == "label 1") << s;
  const auto entry = [](const Json& d) {
    for (const Json& l : d["labels"])
      if (l["label"] == "label 1") return l;
    return Json();
  };
  EXPECT_EQ(entry(one), entry(all));
  const Outcome unknown = run({"explain", "p", "--label", "label 9"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_TRUE(contains(unknown.err, "knows no label \"label 9\"")) << unknown.err;
}

TEST_F(CliExplain, LabelsLeftToTheTeacherAreAReason) {
  write_log(folder, "log", {});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--never", "label 2", "-o", "p", "-q"}).code, 0);
  const Json d = explain();
  expect_whole(d);
  EXPECT_EQ(d["reasons"][0]["reason"], "never_label");
  EXPECT_GT(d["reasons"][0]["n"], 0);
  EXPECT_EQ(d["reasons"][0]["labels"][0]["label"], "label 2");
}

// Nothing is deferred: no reason, no border, no share that is no number.
TEST_F(CliExplain, NothingDeferredIsSaid) {
  fit_policy();
  write_log(folder, "fresh", {.rows = 120, .noise = 0.01, .seed = 5});
  const Json d = explain({"--traces", "fresh.jsonl"});
  ASSERT_EQ(d["n_handled"], 120);
  for (const Json& r : d["reasons"]) EXPECT_TRUE(r["share"].is_null() && r["n"] == 0) << r;
  EXPECT_TRUE(d["boundary"].empty());
  const Outcome read = run({"explain", "p", "--traces", "fresh.jsonl"});
  EXPECT_TRUE(contains(read.out, "\nnone deferred\n")) << read.out;
}

// The ten lines that `fit` ends with, on the rows and with the figures of `explain`.
TEST_F(CliExplain, FitEndsWithWhatMatters) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});
  const Outcome fit = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"});
  ASSERT_EQ(fit.code, 0) << fit.err;
  const std::string summary = fit.out.substr(fit.out.find("3000 traces, 4 labels; split by "));
  EXPECT_LE(std::count(summary.begin(), summary.end(), '\n'), 10) << summary;
  const Json d = explain();
  const auto reason = std::max_element(d["reasons"].begin(), d["reasons"].end(),
                                       [](const Json& a, const Json& b) { return a["n"] < b["n"]; });
  const int64_t n = d["n"].get<int64_t>(), deferred = n - d["n_handled"].get<int64_t>();
  EXPECT_TRUE(contains(summary, "\ncertified at 0.9: ")) << summary;
  EXPECT_TRUE(contains(summary, " of " + std::to_string(d["n_handled"].get<int64_t>()) + " handled certify rows"))
      << summary;
  EXPECT_TRUE(
      contains(summary, "\ndeferred: " + std::to_string(deferred) + " of " + std::to_string(n) + " certify rows ("))
      << summary;
  EXPECT_TRUE(contains(summary, ": " + (*reason)["text"].get<std::string>() + " ")) << summary;
  EXPECT_TRUE(contains(summary, "\nwould help: " + (*reason)["help"].get<std::string>() + "\n")) << summary;
  const std::string explained = run({"explain", "p"}).out;  // the same lines there
  for (const char* line : {"least agreement by label: ", "of the teacher to look at again"}) {
    const size_t at = summary.find(line), start = summary.rfind('\n', at) + 1, end = summary.find('\n', at);
    ASSERT_NE(at, std::string::npos) << summary;
    EXPECT_TRUE(contains(explained, "\n" + summary.substr(start, end - start) + "\n")) << explained;
  }
  EXPECT_TRUE(contains(summary, "\npolicy in p\nnext: ")) << summary;
  const Outcome json = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "q", "--json", "-q"});
  ASSERT_EQ(json.code, 0) << json.err;
  EXPECT_FALSE(contains(json.out + json.err, "would help"));
}

TEST_F(CliExplain, AFitOfManyCertifyRowsExplainsASample) {
  write_log(folder, "log", {.rows = 20'000, .labels = 3, .dim = 4, .noise = 1.6});
  const Outcome fit = run({"fit", "log.jsonl", "--alpha", "0.8", "--sweep", "0.8", "-o", "p", "-q"});
  ASSERT_EQ(fit.code, 0) << fit.err;
  EXPECT_TRUE(contains(fit.out, " of a sample of 4000 certify rows (")) << fit.out;
}

TEST_F(CliExplain, ARefusedAlphaDefersAll) {
  write_log(folder, "log", {.noise = 3});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.99", "-o", "p", "-q"}).code, 3);
  const Json d = explain();
  EXPECT_EQ(d["certified"], false);
  EXPECT_TRUE(d["threshold"].is_null());
  EXPECT_EQ(d["n_handled"], 0);
  EXPECT_TRUE(d["teacher_agreement"].is_null());
  expect_whole(d);
  const std::string text = run({"explain", "p"}).out;
  EXPECT_TRUE(contains(text, "alpha 0.99 (not certified): 0.0 % handled")) << text;
  EXPECT_FALSE(contains(text, "handled least")) << text;  // of nothing handled, no region is the least
  EXPECT_EQ(run({"explain", "p", "--alpha", "0.123"}).code, 3);
}

TEST_F(CliExplain, OneLabelAndNoTextAreFine) {
  write_log(folder, "log", {.rows = 600, .labels = 1});
  std::string text;
  for (int i = 0; i < 600; ++i) text += R"({"id":"r)" + std::to_string(i) + R"(","input":"","teacher":"only"})" + "\n";
  folder.write("log.jsonl", text);
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Json d = explain();
  expect_whole(d);
  ASSERT_EQ(d["labels"].size(), 1u);
  for (const Json& r : d["regions"]) {
    EXPECT_TRUE(r["words"].is_null());
    EXPECT_TRUE(r["typical"][0]["input"].is_null());
    EXPECT_TRUE(contains(r["typical"][0]["id"].get<std::string>(), "r"));
  }
  EXPECT_EQ(run({"explain", "p"}).code, 0);
}

TEST_F(CliExplain, SlicesComeFromKeysOfTheRow) {
  fit_policy();
  write_log(folder, "fresh", {.rows = 400, .noise = 1.6, .seed = 5});
  std::string text;
  int i = 0;
  for (Json row : json_lines(slurp(folder.path("fresh.jsonl")))) {
    row["metadata"] = {{"site", i % 2 == 0 ? "even" : "odd"}};
    row["timestamp"] = 86400 * (i++ / 100);
    text += row.dump() + "\n";
  }
  folder.write("fresh.jsonl", text);
  const Json d = explain({"--traces", "fresh.jsonl", "--slice", "site"});
  std::map<std::string, int64_t> rows;
  for (const Json& s : d["slices"])
    if (s["key"] == "site" || s["key"] == "time") rows[s["value"].get<std::string>()] = s["n"].get<int64_t>();
  EXPECT_EQ(rows["even"], 200);
  EXPECT_EQ(rows["odd"], 200);
  EXPECT_EQ(rows["1970-01-03 to 1970-01-03"], 100);
  const Outcome missing = run({"explain", "p", "--traces", "fresh.jsonl", "--slice", "sight"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_TRUE(contains(missing.err, "fresh.jsonl: no row has the key sight")) << missing.err;
}

TEST_F(CliExplain, GroupsAreDrawnAgainByTheKeyThatFitWasGiven) {
  SmallLog log{.rows = 2400};
  write_log(folder, "log", log);
  std::string text;
  for (int64_t i = 0; i < log.rows; ++i) {
    Json row = Json::parse(small_row(log, i));
    row["user"] = "u" + std::to_string(i / 3);
    text += row.dump() + "\n";
  }
  folder.write("log.jsonl", text);
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--group-by", "user", "-o", "p", "-q"}).code, 0);
  const Json d = explain();
  EXPECT_EQ(d["n"], certificate(0.9)["n_certify"]);
  EXPECT_EQ(d["n_handled"], certificate(0.9)["n_handled"]);
  EXPECT_EQ(explain({"--group-by", "user"}), d);
  EXPECT_TRUE(contains(run({"explain", "p", "--group-by", "teacher"}).err, "cannot be drawn again"));
}

// A log whose order says nothing has no guard rows, and its split is drawn again without them.
TEST_F(CliExplain, ASplitWithoutAGuardIsDrawnAgain) {
  write_log(folder, "log", {.rows = 900});
  const Outcome fit = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--json"});
  ASSERT_EQ(fit.code, 0) << fit.err;
  const Json split = Json::parse(fit.out)["split"];
  ASSERT_EQ(split["kind"], "runs");
  ASSERT_EQ(split["n_guard"], 0) << split;
  EXPECT_TRUE(contains(split["reason"].get<std::string>(), "learned from too"));
  EXPECT_EQ(explain()["n"], split["n_certify"]);
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--split", "runs", "-o", "q", "--json"}).code, 0);
  EXPECT_GT(Json::parse(slurp(folder.path("q/manifest.json")))["run"]["split"]["n_guard"], 100);
  const Outcome guarded = run({"explain", "q", "--json"});
  ASSERT_EQ(guarded.code, 0) << guarded.err;
  EXPECT_EQ(Json::parse(guarded.out)["n"], split["n_certify"]);
}

TEST_F(CliExplain, TheCurveTellsWhatMoreTracesGive) {
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Json d = explain({"--curve"}), g = d["learning_curve"];
  EXPECT_TRUE(explain()["learning_curve"].is_null());
  ASSERT_TRUE(g.is_object());
  EXPECT_EQ(g["traces"], 3000);
  EXPECT_EQ(g["more"], 3000);
  EXPECT_EQ(g["fits"], 9);
  ASSERT_EQ(g["points"].size(), 4u);
  EXPECT_EQ(g["points"][3]["coverage"], d["coverage"]);
  EXPECT_EQ(g["points"][3]["teacher_agreement"], d["teacher_agreement"]);
  ASSERT_EQ(g["labels"].size(), 4u);
  EXPECT_EQ(sum_of(g["labels"], "traces"), 3000);
  EXPECT_EQ(sum_of(g["labels"], "n"), d["n"]);
  EXPECT_EQ(explain({"--curve", "--threads", "2"})["learning_curve"], g);
  const Json one = explain({"--curve", "--more", "600", "--label", "label 1"})["learning_curve"];
  ASSERT_EQ(one["labels"].size(), 1u);
  EXPECT_EQ(one["labels"][0]["label"], "label 1");
  EXPECT_NEAR(one["labels"][0]["more"].get<double>(), 0.2 * one["labels"][0]["traces"].get<double>(), 1);
  const Outcome read = run({"explain", "p", "--curve", "-q"});
  EXPECT_TRUE(contains(read.out, "\n3000 more traces")) << read.out;
  EXPECT_EQ(run({"explain", "p", "--more", "5"}).code, 2);
  write_log(folder, "fresh", {.rows = 300, .noise = 1.6, .seed = 5});
  const Outcome other = run({"explain", "p", "--traces", "fresh.jsonl", "--curve"});
  EXPECT_EQ(other.code, 1);
  EXPECT_TRUE(contains(other.err, "leave --traces out")) << other.err;
}

TEST_F(CliExplain, AnEarlierPolicyIsComparedOnRowsThatNeitherLearnedFrom) {
  write_log(folder, "small", {.rows = 400, .noise = 1.6});
  ASSERT_NE(run({"fit", "small.jsonl", "--alpha", "0.9", "-o", "old", "-q"}).code, 1);
  write_log(folder, "log", {.rows = 3000, .noise = 1.6});  // it begins with the small one
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q"}).code, 0);
  const Json d = explain({"--since", "old"}), s = d["since"];
  EXPECT_TRUE(explain()["since"].is_null());
  ASSERT_TRUE(s.is_object());
  EXPECT_EQ(s["folder"], "old");
  EXPECT_GT(s["rows_left_out"], 0);
  EXPECT_EQ(s["n"].get<int64_t>() + s["rows_left_out"].get<int64_t>(), d["n"]);
  const auto before = s["n_handled"]["before"].get<int64_t>(), now = s["n_handled"]["now"].get<int64_t>();
  EXPECT_EQ(before + s["gained"].get<int64_t>() - s["lost"].get<int64_t>(), now);
  EXPECT_EQ(sum_of(s["gained_why"], "n"), s["gained"]);
  EXPECT_EQ(sum_of(s["lost_why"], "n"), s["lost"]);
  EXPECT_EQ(sum_of(s["labels"], "gained"), s["gained"]);
  EXPECT_EQ(sum_of(s["regions"], "lost"), s["lost"]);
  const Outcome read = run({"explain", "p", "--since", "old", "-q"});
  EXPECT_TRUE(contains(read.out, "\nsince old: coverage ")) << read.out;
  EXPECT_EQ(explain({"--since", "p"})["since"]["gained"], 0);
  const Outcome none = run({"explain", "p", "--since", "nowhere"});
  EXPECT_EQ(none.code, 1);
  EXPECT_TRUE(contains(none.err, "nowhere")) << none.err;
  EXPECT_EQ(run({"explain", "p", "--since", "old", "-o", "old/explain.json"}).code, 2);
}

TEST_F(CliExplain, ALogThatHasChangedOrGoneIsNamed) {
  fit_policy();
  folder.write("log.jsonl", slurp(folder.path("log.jsonl")) + "\n");
  const Outcome changed = run({"explain", "p"});
  EXPECT_EQ(changed.code, 1);
  EXPECT_TRUE(contains(changed.err, "log.jsonl, has changed")) << changed.err;
  ASSERT_EQ(::unlink(folder.path("log.jsonl").c_str()), 0);
  const Outcome gone = run({"explain", "p"});
  EXPECT_EQ(gone.code, 1);
  EXPECT_TRUE(contains(gone.err, "log.jsonl, is not there")) << gone.err;
}

TEST_F(CliExplain, NoOutputDestroysWhatItExplains) {
  fit_policy();
  const std::string log = slurp(folder.path("log.jsonl")), vectors = slurp(folder.path("log.npy"));
  for (const std::string output : {"p/explain.json", "log.jsonl", "log.npy"}) {
    EXPECT_EQ(run({"explain", "p", "-o", output}).code, 2) << output;
    EXPECT_EQ(run({"explain", "p", "--rows", output}).code, 2) << output;
    EXPECT_EQ(run({"explain", "p", "--traces", "log.jsonl", "-o", output}).code, 2) << output;
  }
  EXPECT_TRUE(slurp(folder.path("log.jsonl")) == log);
  EXPECT_TRUE(slurp(folder.path("log.npy")) == vectors);
  EXPECT_EQ(run({"report", "p"}).code, 0);
}

}  // namespace
}  // namespace tracer
