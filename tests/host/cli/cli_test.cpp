// The commands as their users meet them.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "host/artifact/names.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

class Cli : public CliTest {};

TEST_F(Cli, FitPrintsOneDocumentAndCertifies) {
  write_log(folder, "log", {});
  const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "--sweep", "0.8,0.95", "-o", "p", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = Json::parse(o.out);
  EXPECT_EQ(j["certified"], true);
  EXPECT_EQ(j["rows"], 1600);
  EXPECT_EQ(j["labels"], 4);
  EXPECT_EQ(j["split"]["kind"], "runs");
  ASSERT_EQ(j["frontier"].size(), 3u);  // --sweep and --alpha, ascending
  for (const Json& e : j["frontier"]) {
    EXPECT_TRUE(e.contains("alpha") && e.contains("certified") && e.contains("method") && e.contains("coverage") &&
                e.contains("teacher_agreement") && e.contains("teacher_agreement_lower") && e.contains("threshold"));
    if (e["certified"]) {
      EXPECT_GE(e["teacher_agreement_lower"].get<double>(), e["alpha"].get<double>());
    }
  }
  EXPECT_TRUE(j.contains("warnings") && j["seconds"].contains("total"));
  EXPECT_TRUE(contains(o.err, "read 1600 traces"));
}

TEST_F(Cli, RouteAgreesWithEvaluateAndKeepsOrder) {
  write_log(folder, "log", {.noise = 1.4});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p"}).code, 0);
  write_log(folder, "new", {.rows = 5003, .noise = 1.4, .seed = 2});
  const Outcome e = run({"evaluate", "p", "new.jsonl", "--json", "--errors", "errors.jsonl"});
  ASSERT_EQ(e.code, 0) << e.err;
  const Json j = Json::parse(e.out);
  const Outcome r = run({"route", "p", "new.jsonl", "-o", "out.jsonl"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto lines = json_lines(slurp(folder.path("out.jsonl")));
  ASSERT_EQ(lines.size(), 5003u);
  int64_t handled = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["id"], "r" + std::to_string(i));
    const bool h = lines[i]["decision"] == "handled";
    handled += h;
    EXPECT_EQ(h, lines[i]["reason"] == "accepted");
    EXPECT_EQ(h, lines[i]["label"].is_string());
    EXPECT_EQ(lines[i]["score"].get<double>() > lines[i]["threshold"].get<double>() &&
                  lines[i]["reason"] != "out_of_distribution",
              h);
  }
  EXPECT_GT(handled, 0);
  EXPECT_LT(handled, 5003);
  EXPECT_EQ(j["handled"], handled);
  EXPECT_EQ(
      j["deferred"]["below_threshold"].get<int64_t>() + j["deferred"]["out_of_distribution"].get<int64_t>() + handled,
      5003);
  const auto errors = json_lines(slurp(folder.path("errors.jsonl")));
  EXPECT_EQ(static_cast<double>(handled - static_cast<int64_t>(errors.size())) / static_cast<double>(handled),
            j["teacher_agreement"].get<double>());
  for (const Json& line : errors) EXPECT_NE(line["surrogate"], line["teacher"]);
  const Json meta = Json::parse(slurp(folder.path("out.jsonl.meta.json")));
  EXPECT_EQ(meta["handled"], handled);
  EXPECT_TRUE(meta["warnings"].empty());
}

TEST_F(Cli, GzipCsvAndStandardInputGiveTheSameRoute) {
  fit_policy();
  const std::string text = slurp(folder.path("log.jsonl"));
  ASSERT_EQ(run({"route", "p", "log.jsonl", "-o", "plain"}).code, 0);
  folder.write("log.jsonl.gz", io::gzip(text));
  ASSERT_EQ(run({"route", "p", "log.jsonl.gz", "-o", "gzip"}).code, 0);
  const Outcome piped = run({"route", "p", "-", "--embeddings", "log.npy", "-o", "-"}, folder.path("log.jsonl"));
  ASSERT_EQ(piped.code, 0) << piped.err;
  std::string csv = "id,text,label\n";
  for (const Json& row : json_lines(text))
    csv += row["id"].get<std::string>() + ",\"" + row["input"].get<std::string>() + "\"," +
           row["teacher"].get<std::string>() + "\n";
  folder.write("log.csv", csv);
  ASSERT_EQ(run({"route", "p", "log.csv", "-o", "csv"}).code, 0);
  const std::string plain = slurp(folder.path("plain"));
  EXPECT_EQ(plain, slurp(folder.path("gzip")));
  EXPECT_EQ(plain, piped.out);
  EXPECT_EQ(plain, slurp(folder.path("csv")));
  EXPECT_TRUE(contains(run({"route", "p", "-", "-o", "x"}, folder.path("log.jsonl")).err, "--embeddings"));
}

TEST_F(Cli, TooFewTracesAreRefusedWithAReasonAndAnArtifact) {
  write_log(folder, "log", {.rows = 10});
  const Outcome o = run({"fit", "log.jsonl", "-o", "p", "--json"});
  EXPECT_EQ(o.code, 3);
  const Json j = Json::parse(o.out);
  EXPECT_EQ(j["certified"], false);
  for (const Json& e : j["frontier"]) {
    EXPECT_EQ(e["method"], "refused");
    EXPECT_FALSE(e["reason"].get<std::string>().empty());
    EXPECT_TRUE(e["coverage"].is_null() && e["threshold"].is_null());
    EXPECT_GT(e["estimate"]["fewest_handled"].get<int64_t>(), 0);
  }
  EXPECT_EQ(run({"report", "p"}).code, 0);
  for (const char* command : {"evaluate", "route"}) {
    std::vector<std::string> args = {command, "p", "log.jsonl"};
    if (std::string(command) == "route") args.insert(args.end(), {"-o", "out"});
    const Outcome used = run(args);
    EXPECT_EQ(used.code, 3) << command;
    EXPECT_TRUE(contains(used.err, "not certified"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
}

TEST_F(Cli, AnotherAlphaIsServedWithAWarningAlsoInTheSidecar) {
  fit_policy();
  const Outcome o = run({"route", "p", "log.jsonl", "-o", "out", "--alpha", "0.85"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.err, "warning: alpha 0.85 is not the one fit was asked for"));
  EXPECT_EQ(Json::parse(slurp(folder.path("out.meta.json")))["warnings"].size(), 1u);
  const Outcome unknown = run({"route", "p", "log.jsonl", "-o", "out2", "--alpha", "0.77"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_TRUE(contains(unknown.err, "not part of the sweep"));
}

TEST_F(Cli, SimultaneousCertificatesNeedNoWarning) {
  write_log(folder, "log", {});
  ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--simultaneous", "-o", "p"}).code, 0);
  const Outcome o = run({"route", "p", "log.jsonl", "-o", "out", "--alpha", "0.85", "--quiet"});
  EXPECT_EQ(o.code, 0);
  EXPECT_EQ(o.err, "");
}

TEST_F(Cli, ASecondLookAtTheSameLogIsNotCertifiedAndLeavesTheFirstPolicy) {
  fit_policy();
  EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p"}).code, 0);  // the very same fit
  const std::string weights = slurp(folder.path("p/weights.safetensors"));
  for (int again = 0; again < 2; ++again) {
    const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--seed", "7", "--json"});
    EXPECT_EQ(o.code, 3);
    EXPECT_TRUE(contains(o.out, "earlier fit"));
  }
  EXPECT_EQ(Json::parse(slurp(folder.path("p/ledger.json")))["looks"].size(), 2u);
  EXPECT_EQ(slurp(folder.path("p/weights.safetensors")), weights);
  EXPECT_EQ(run({"route", "p", "log.jsonl", "-o", "out"}).code, 0);
  EXPECT_TRUE(contains(run({"fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--seed", "8"}).out,
                       "the earlier policy in p stays"));
}

TEST_F(Cli, PlannedLooksShareDelta) {
  write_log(folder, "log", {});
  for (const char* seed : {"1", "2"})
    EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--looks", "2", "--seed", seed, "-o", "p"}).code, 0);
  EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.9", "--looks", "2", "--seed", "3", "-o", "p"}).code, 3);
  const auto certificates = Json::parse(slurp(folder.path("p/certificate.json")));
  EXPECT_EQ(certificates["certificates"][0]["delta"], 0.025);
}

TEST_F(Cli, NeverAndLabelFloorAreHonouredByEveryCommand) {
  write_log(folder, "log", {});
  std::string text = slurp(folder.path("log.jsonl"));
  int seen = 0;  // of label 1 every other one becomes label 2: it does not reach the floor
  for (size_t at = 0; (at = text.find("label 1", at)) != std::string::npos; ++at)
    if (++seen % 2 == 0) text[at + 6] = '2';
  folder.write("log.jsonl", text);
  const Outcome fit = run({"fit", "log.jsonl", "--alpha", "0.8", "--never", "label 0", "--label-floor", "0.85",
                           "--sweep", "0.9", "-o", "p", "--json"});
  ASSERT_EQ(fit.code, 0) << fit.err;
  const Json labels = Json::parse(fit.out)["deferred_labels"];
  EXPECT_EQ(labels["never"], Json::array({"label 0"}));
  EXPECT_EQ(labels["label_floor"], 0.85);
  ASSERT_EQ(labels["below_label_floor"].size(), 2u);  // an entry for each alpha
  const Json& below = labels["below_label_floor"][0];
  EXPECT_EQ(below["alpha"], 0.8);
  const auto label1 = std::find_if(below["labels"].begin(), below["labels"].end(),
                                   [](const Json& l) { return l["label"] == "label 1"; });
  ASSERT_NE(label1, below["labels"].end()) << below.dump();
  EXPECT_FALSE((*label1)["n_handled"] > 0 && (*label1)["teacher_agreement_lower"].get<double>() >= 0.85);
  const Outcome route = run({"route", "p", "log.jsonl", "-o", "out.jsonl"});
  ASSERT_EQ(route.code, 0) << route.err;
  EXPECT_TRUE(contains(route.err, "with a label never to be answered")) << route.err;
  int64_t never = 0, floor = 0, first_never = -1;
  const auto lines = json_lines(slurp(folder.path("out.jsonl")));
  for (size_t i = 0; i < lines.size(); ++i) {
    never += lines[i]["reason"] == "never_label", floor += lines[i]["reason"] == "below_label_floor";
    if (first_never < 0 && lines[i]["reason"] == "never_label") first_never = static_cast<int64_t>(i);
    EXPECT_NE(lines[i]["label"], "label 0");
    EXPECT_NE(lines[i]["label"], "label 1");
  }
  EXPECT_GT(never, 300);
  EXPECT_GT(floor, 100);
  const Json meta = Json::parse(slurp(folder.path("out.jsonl.meta.json")));
  EXPECT_EQ(meta["deferred"]["never_label"], never);
  EXPECT_EQ(meta["deferred"]["below_label_floor"], floor);
  const Json evaluated = Json::parse(run({"evaluate", "p", "log.jsonl", "--json"}).out);
  EXPECT_EQ(evaluated["deferred"], meta["deferred"]);
  const Outcome inspect = run({"inspect", "p", "--row", std::to_string(first_never), "--embeddings", "log.npy"});
  EXPECT_TRUE(contains(inspect.out, "deferred: the surrogate says label 0, which this policy never answers"))
      << inspect.out << inspect.err;
  const Outcome report = run({"report", "p"});
  EXPECT_TRUE(contains(report.out, "never answered: label 0")) << report.out;
  EXPECT_TRUE(contains(report.out, "not shown to agree 0.85 of the time: ")) << report.out;
  EXPECT_EQ(Json::parse(run({"report", "p", "--json"}).out)["deferred_labels"], labels);
  // Another --never is another look at the same certify rows.
  EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "--sweep", "0.9", "--label-floor", "0.85", "-o", "p"}).code, 3);
}

TEST_F(Cli, NeverTakesSeveralLabelsAndRefusesUnknownOnesByName) {
  write_log(folder, "log", {});
  const Outcome unknown = run({"fit", "log.jsonl", "--never", "label 1,label 9", "-o", "p"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_TRUE(contains(unknown.err, "--never: no trace carries the label \"label 9\"")) << unknown.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("p")));
  const Outcome two = run(
      {"fit", "log.jsonl", "--alpha", "0.9", "--never", "label 1,label 3", "--never", "label 0", "-o", "p", "--json"});
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(Json::parse(two.out)["deferred_labels"]["never"], Json::array({"label 0", "label 1", "label 3"}));
}

TEST_F(Cli, TheGatesShareIsTheUsers) {
  write_log(folder, "log", {.noise = 1.0});
  write_log(folder, "new", {.rows = 800, .noise = 1.0, .seed = 2});
  int64_t unlike[2] = {0, 0};
  const char* share[2] = {"0.2", "0"};
  for (int i = 0; i < 2; ++i) {
    const std::string policy = "p" + std::to_string(i);
    ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "--gate-share", share[i], "-o", policy, "-q"}).code, 0);
    ASSERT_EQ(run({"route", policy, "new.jsonl", "-o", "out.jsonl", "-q"}).code, 0);
    for (const Json& row : json_lines(slurp(folder.path("out.jsonl"))))
      unlike[i] += row["reason"] == "out_of_distribution";
    const Json asked = Json::parse(run({"report", policy, "--json"}).out)["run"]["gate_share"];
    EXPECT_EQ(asked, std::stod(share[i]));
  }
  EXPECT_GT(unlike[0], 80);
  EXPECT_LT(unlike[0], 320);
  EXPECT_LE(unlike[1], 8);
  // What the gate says of single rows.
  ASSERT_EQ(run({"route", "p0", "new.jsonl", "-o", "out.jsonl", "-q"}).code, 0);
  const std::vector<Json> routed = json_lines(slurp(folder.path("out.jsonl")));
  int64_t looked_at = 0;
  for (size_t i = 0; i < routed.size() && looked_at < 6; i += 29, ++looked_at) {
    const Outcome o = run({"inspect", "p0", "--row", std::to_string(i), "--embeddings", "new.npy", "--json"});
    ASSERT_EQ(o.code, 0) << o.err;
    const Json d = Json::parse(o.out), f = d["features"];
    EXPECT_EQ(d["reason"], routed[i]["reason"]);
    EXPECT_EQ(f["outlier_score"].get<double>() > f["outlier_limit"].get<double>(),
              d["reason"] == "out_of_distribution");
    EXPECT_NEAR(f["outlier_score"].get<double>(),
                2 * f["mean_distance"].get<double>() - f["neighbours_mean_distance"].get<double>() -
                    0.1 * std::log(f["top1"].get<double>()),
                1e-6);
    EXPECT_EQ(contains(d["why"].get<std::string>(), "unlike anything learned (outlier score "),
              d["reason"] == "out_of_distribution");
  }
  EXPECT_EQ(looked_at, 6);
  // What a gate lets through is part of what is certified: another share is another look.
  EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "--gate-share", "0.1", "-o", "p0", "-q"}).code, 3);
  EXPECT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "--gate-share", "0.2", "-o", "p0", "-q"}).code, 0);
}

TEST_F(Cli, ACapOnReferencesIsRecordedAndIdsFollowTheReferences) {
  write_log(folder, "log", {});
  const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "--max-references", "300", "-o", "p", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(Json::parse(o.out)["peak_memory_bytes"].get<int64_t>(), 1 << 20);
  EXPECT_TRUE(contains(o.err, "MiB of memory"));
  const Json references = Json::parse(run({"report", "p", "--json"}).out)["run"]["references"];
  EXPECT_EQ(references["most"], 300);
  EXPECT_LE(references["rows"].get<int64_t>(), 300);
  EXPECT_TRUE(contains(run({"report", "p"}).out, "among a sample of "));
  EXPECT_EQ(Json::parse(slurp(folder.path("p/references.json")))["ids"].size(), references["rows"].get<size_t>());
  const Json near =
      Json::parse(run({"inspect", "p", "--row", "0", "--embeddings", "log.npy", "--json"}).out)["nearest"];
  for (const Json& n : near) EXPECT_EQ(n["id"], "r" + std::to_string(n["row"].get<int64_t>()));
  EXPECT_EQ(run({"fit", "log.jsonl", "--max-references", "99", "-o", "q"}).code, 2);
}

TEST_F(Cli, ABudgetThatIsSpentSaysThatTheBytesDependOnTime) {
  write_log(folder, "log", {});
  const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.9", "--budget-seconds", "0", "-o", "p"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(contains(o.err, "the policy's bytes with it")) << o.err;
  const Json report = Json::parse(run({"report", "p", "--json"}).out);
  EXPECT_EQ(report["run"]["reproducible"], false);
  EXPECT_EQ(report["run"]["cut"].size(), 3u);
}

TEST_F(Cli, MembersAndFamiliesAreServedByEveryCommandAlikeForAnyThreads) {
  const std::vector<std::string> more = {"--members", "softmax,neighbours,prototype,mlp,mlp2", "--families",
                                         "global,l2d,l2d_label"};
  const auto fit = [&](const std::string& out, const std::string& threads) {
    std::vector<std::string> args = {"fit", "log.jsonl", "-o", out, "--alpha", "0.9", "--threads", threads};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  };
  write_log(folder, "log", {.rows = 900, .noise = 1.6});
  const Outcome one = fit("one", "1"), two = fit("two", "2");
  ASSERT_TRUE(one.code == 0 || one.code == 3) << one.err;
  EXPECT_TRUE(io::contains(one.err, "class prototype, ridge")) << one.err;
  EXPECT_TRUE(io::contains(one.err, "MLP of hidden layers 256, 256: out-of-fold loss")) << one.err;
  EXPECT_TRUE(io::contains(one.err, "thresholds by label: out-of-fold coverage")) << one.err;
  for (const char* part : {"manifest.json", "weights.safetensors", "certificate.json"})
    EXPECT_EQ(io::slurp(folder.path("one/") + part), io::slurp(folder.path("two/") + part)) << part;
  EXPECT_EQ(run({"report", "one"}).code, 0);
  if (one.code != 0) return;
  EXPECT_EQ(run({"evaluate", "one", "log.jsonl"}).code, 0);
  EXPECT_EQ(run({"route", "one", "log.jsonl", "-o", "r.jsonl"}).code, 0);
  EXPECT_EQ(run({"inspect", "one", "--row", "3", "--embeddings", "log.npy"}).code, 0);
}

TEST_F(Cli, UnknownMembersAndFamiliesAreUsageErrors) {
  write_log(folder, "log", {.rows = 100});
  const auto refused = [&](const std::string& option, const std::string& value, const std::string& expected) {
    const Outcome o = run({"fit", "log.jsonl", option, value});
    EXPECT_EQ(o.code, 2) << value;
    EXPECT_TRUE(io::contains(o.err, expected)) << o.err;
  };
  refused("--members", "softmax,neighbours,forest",
          "--members: expected some of softmax, neighbours, prototype, mlp, mlp2, gbt, found \"forest\"");
  refused("--members", "mlp", "--members: softmax is always part");
  refused("--families", "global,l2d,l3d", "--families: expected some of global, l2d, l2d_label, rsb, found \"l3d\"");
}

TEST_F(Cli, ReportInspectAndDoctor) {
  fit_policy();
  const Outcome report = run({"report", "p", "--json"});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(Json::parse(report.out)["frontier"].size(), 7u);
  EXPECT_TRUE(contains(run({"report", "p"}).out, "coverage"));
  const Outcome inspect = run({"inspect", "p", "--row", "0", "--embeddings", "log.npy", "--json"});
  ASSERT_EQ(inspect.code, 0) << inspect.err;
  const Json j = Json::parse(inspect.out);
  EXPECT_EQ(j["decision"] == "handled", j["score"].get<double>() > j["threshold"].get<double>());
  EXPECT_EQ(j["classes"].size(), 4u);
  ASSERT_EQ(j["nearest"].size(), 5u);
  EXPECT_TRUE(j["nearest"][0].contains("id"));
  // Each nearest trace is named with its text, as the log has it.
  const auto log = json_lines(slurp(folder.path("log.jsonl")));
  for (const Json& n : j["nearest"]) EXPECT_EQ(n["text"], log[n["row"].get<size_t>()]["input"]);
  EXPECT_EQ(j["neighbours"]["looked_at"], 10);
  EXPECT_GE(j["neighbours"]["carry_surrogate"], 6);
  const std::string words = run({"inspect", "p", "--row", "0", "--embeddings", "log.npy"}).out;
  for (const char* part :
       {" has probability ", ", the runner-up label ", "of its 10 nearest traces ", "  text number "})
    EXPECT_TRUE(contains(words, part));
  folder.write("log.jsonl", slurp(folder.path("log.jsonl")) + "\n");  // no longer the log
  const Outcome changed = run({"inspect", "p", "--row", "0", "--embeddings", "log.npy", "--json"});
  ASSERT_EQ(changed.code, 0) << changed.err;
  EXPECT_FALSE(Json::parse(changed.out)["nearest"][0].contains("text"));
  EXPECT_EQ(run({"inspect", "p", "--row", "1600", "--embeddings", "log.npy"}).code, 1);
  const Outcome doctor = run({"doctor", "--json"});
  EXPECT_EQ(doctor.code, 0);
  const Json d = Json::parse(doctor.out);
  EXPECT_TRUE(d["chosen"]["threads"].get<int>() >= 1);
  EXPECT_FALSE(d["libtorch"]["detail"].get<std::string>().empty());
}

TEST_F(Cli, FailBelowRaisesTheAlarmOnlyWhereAskedFor) {
  fit_policy();
  EXPECT_EQ(run({"evaluate", "p", "log.jsonl", "--fail-below", "0.5"}).code, 0);
  // The same vectors with other labels: agreement collapses.
  std::string text = slurp(folder.path("log.jsonl"));
  for (size_t at = 0; (at = text.find("label 0", at)) != std::string::npos; ++at) text[at + 6] = '1';
  folder.write("other.jsonl", text);
  EXPECT_EQ(run({"evaluate", "p", "other.jsonl", "--embeddings", "log.npy"}).code, 0);
  EXPECT_EQ(run({"evaluate", "p", "other.jsonl", "--embeddings", "log.npy", "--fail-below", "0.99"}).code, 6);
}

TEST_F(Cli, SameBytesForAnyNumberOfThreads) {
  write_log(folder, "log", {.noise = 1.2});
  for (const char* threads : {"1", "2", "3"})
    ASSERT_EQ(run({"fit", "log.jsonl", "--alpha", "0.8", "--threads", threads, "-o", std::string("p") + threads}).code,
              0);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("p1")))
    for (const char* other : {"p2/", "p3/"})
      EXPECT_EQ(slurp(entry.path()), slurp(folder.path(other) + entry.path().filename().string())) << entry.path();
}

TEST_F(Cli, HelpVersionAndUsage) {
  EXPECT_TRUE(contains(run({"--help"}).out, "route"));
  EXPECT_TRUE(contains(run({"--version"}).out, "tracer "));
  for (const char* command : {"fit", "evaluate", "sweep", "route", "report", "inspect", "doctor"}) {
    const Outcome o = run({command, "--help"});
    EXPECT_EQ(o.code, 0);
    EXPECT_EQ(o.err, "");
  }
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"frobnicate"},
                                                       {"fit"},
                                                       {"fit", "x", "--nonsense"},
                                                       {"fit", "x", "--alpha", "1.5"},
                                                       {"fit", "x", "--sweep", "0.9,nan"},
                                                       {"fit", "x", "--folds", "1"},
                                                       {"fit", "x", "--delta", "0"},
                                                       {"fit", "x", "--label-floor", "1"},
                                                       {"fit", "x", "--gate-share", "0.6"},
                                                       {"sweep", "x", "--gate-share", "-0.1"},
                                                       {"fit", "x", "--budget-seconds", "-1"},
                                                       {"fit", "x", "--group-by", "k", "--split", "rows"},
                                                       {"fit", "x", "--unit", "runs", "--split", "rows"},
                                                       {"route", "p", "x"},
                                                       {"inspect", "p", "--row", "-1", "--embeddings", "e"}};
  for (const auto& args : wrong) {
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 2) << (args.empty() ? "" : args.back());
    EXPECT_EQ(o.out, "");
  }
}

TEST_F(Cli, SplitsByTimeAndGroups) {
  const SmallLog log;
  write_log(folder, "log", log);
  std::string timed;
  for (int64_t i = 0; i < log.rows; ++i) {
    Json j = Json::parse(small_row(log, i));
    j["timestamp"] = 1700000000 + i;
    j["metadata"] = {{"session", i / 10}};
    timed += j.dump() + "\n";
  }
  folder.write("timed.jsonl", timed);
  for (const auto& extra : {std::vector<std::string>{"--split", "time"}, {"--group-by", "session"}}) {
    std::vector<std::string> args = {"fit",  "timed.jsonl", "--embeddings", "log.npy",     "--alpha",
                                     "0.85", "--json",      "-o",           "p" + extra[0]};
    args.insert(args.end(), extra.begin(), extra.end());
    const Outcome o = run(args);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(Json::parse(o.out)["split"]["kind"], extra[0] == "--split" ? "time" : "groups");
  }
  EXPECT_TRUE(contains(run({"fit", "log.jsonl", "--split", "time", "-o", "q"}).err, "no row has a timestamp"));
  EXPECT_TRUE(contains(run({"fit", "log.jsonl", "--group-by", "session", "-o", "q"}).err, "session"));
}

}  // namespace
}  // namespace tracer
