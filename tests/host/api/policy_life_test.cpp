// The library as a program calls it: a policy is reported, explained, audited, updated, compared and put back. What the
// calls find is what the commands print, and what went wrong with an option names the option.
#include <filesystem>

#include "host/api/audit.h"
#include "host/api/diff.h"
#include "host/api/explain.h"
#include "host/api/report.h"
#include "host/api/update.h"
#include "host/api/versions.h"
#include "tests/host/cli_process.h"

namespace tracer {
namespace {

using io::contains;
using io::slurp;

struct Heard {
  std::vector<std::string> notes, warnings;
  Events events() {
    Events events;
    events.note = [this](std::string_view line) { notes.emplace_back(line); };
    events.warn = [this](std::string_view line) { warnings.emplace_back(line); };
    return events;
  }
};

class PolicyLife : public CliTest {
 protected:
  void SetUp() override {
    fit_policy();
    auto opened = open_device({"cpu", 2});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    device.emplace(std::move(opened).value());
  }
  // Rows with their vectors; every fourth is audited, the others were deferred.
  RowSource answers(const std::string& name, const SmallLog& log) {
    write_log(folder, name, log);
    std::string text;
    int64_t i = 0;
    for (Json row : json_lines(slurp(folder.path(name + ".jsonl")))) {
      row["id"] = name + std::to_string(i);
      row["provenance"] = i++ % 4 == 0 ? "audit" : "deferred";
      text += row.dump() + "\n";
    }
    folder.write(name + ".jsonl", text);
    RowSource source;
    source.traces = folder.path(name + ".jsonl");
    source.rejects = folder.path("rejects.jsonl");
    return source;
  }
  // What the command prints, as JSON and as text.
  void expect_printed(const Document& document, std::vector<std::string> args) {
    EXPECT_EQ(document.text, run(args).out);
    args.push_back("--json");
    EXPECT_EQ(document.json, run(args).out);
  }
  std::string policy() { return folder.path("p"); }

  std::optional<Device> device;
  Heard heard;
};

TEST_F(PolicyLife, AReportIsWhatTheCommandPrints) {
  const auto report = report_policy(policy());
  ASSERT_TRUE(report.ok()) << report.status().message();
  expect_printed(report->document, {"report", policy()});
  EXPECT_EQ(report->policy, Json::parse(to_json(*report))["policy"]);
  EXPECT_EQ(report->alpha, 0.9);
  EXPECT_EQ(report->labels, 4);
  EXPECT_EQ(report->dimension, 16);
  EXPECT_EQ(report->traces, 1600);
  EXPECT_EQ(report_policy(folder.path("nothing")).status().code(), ErrorCode::kBadInput);
}

TEST_F(PolicyLife, AnExplanationIsWhatTheCommandWrites) {
  write_log(folder, "fresh", {.rows = 300, .noise = 1.0, .seed = 5});
  ExplainRequest request;
  request.policy.folder = policy();
  request.source.input.traces = folder.path("fresh.jsonl");
  request.source.input.rejects = folder.path("rejects.jsonl");
  request.output = folder.path("e.json");
  request.rows_output = folder.path("rows.jsonl");
  const auto report = explain_policy(*device, request, heard.events());
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(slurp(request.output), report->document.json);
  EXPECT_EQ(json_lines(slurp(request.rows_output)).size(), 300u);
  EXPECT_EQ(report->document.json, run({"explain", policy(), "--traces", request.source.input.traces, "--json"}).out);
  const Outcome printed = run({"explain", policy(), "--traces", request.source.input.traces});
  EXPECT_EQ(report->document.text + "all of it in explain.json\n", printed.out);
  EXPECT_EQ(report->rows, 300);
  EXPECT_FALSE(report->certify_rows);
  EXPECT_TRUE(report->certified);
  EXPECT_GT(report->handled, 0);
  ASSERT_TRUE(report->coverage && report->agreement);
  EXPECT_EQ(*report->coverage, static_cast<double>(report->handled) / 300);
  EXPECT_EQ(*report->agreement, static_cast<double>(report->agree) / static_cast<double>(report->handled));

  request.output = policy() + "/manifest.json";
  const Status clash = explain_policy(*device, request, {}).status();
  EXPECT_EQ(clash.field(), "output") << clash.message();
  request.output = "";
  request.label = "no such label";
  const Status unknown = explain_policy(*device, request, {}).status();
  EXPECT_TRUE(contains(unknown.message(), "label: ")) << unknown.message();
  EXPECT_TRUE(contains(unknown.message(), "knows no label")) << unknown.message();
}

TEST_F(PolicyLife, APageIsWrittenOrReturned) {
  ReportPageRequest request;
  request.policy.folder = policy();
  request.source.input.rejects = folder.path("rejects.jsonl");
  // The log is where the policy says that it was, seen from the folder that it was fitted in.
  request.source.input.traces = folder.path("log.jsonl");
  const auto returned = make_report_page(*device, request, heard.events());
  ASSERT_TRUE(returned.ok()) << returned.status().message();
  request.html = folder.path("page.html");
  const auto written = make_report_page(*device, request, heard.events());
  ASSERT_TRUE(written.ok()) << written.status().message();
  EXPECT_EQ(slurp(request.html), returned->html);
  EXPECT_EQ(returned->html.rfind("<!DOCTYPE html>", 0), 0u) << returned->html.substr(0, 80);
  EXPECT_EQ(returned->report.document.json, report_policy(policy())->document.json);
}

TEST_F(PolicyLife, AnAuditRaisesTheAlarm) {
  AuditRequest request;
  request.policy.folder = policy();
  request.source = answers("good", {.rows = 2000, .seed = 7});
  const auto good = audit_policy(*device, request, heard.events());
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_FALSE(good->alarm);
  EXPECT_EQ(good->alarm_at, 0);
  EXPECT_EQ(good->audit_rows, 500);
  EXPECT_EQ(heard.warnings, std::vector<std::string>{"1500 rows not of provenance \"audit\" left out: no fair sample"});
  expect_printed(good->document, {"audit", policy(), request.source.traces});

  std::string bad = slurp(request.source.traces);
  for (size_t at = 0; (at = bad.find("label 1", at)) != std::string::npos; ++at) bad.replace(at, 7, "label 2");
  folder.write("good.jsonl", bad);
  const auto alarm = audit_policy(*device, request, {});
  ASSERT_TRUE(alarm.ok()) << alarm.status().message();
  EXPECT_TRUE(alarm->alarm);
  EXPECT_GT(alarm->alarm_at, 0);
  EXPECT_LT(alarm->agreement_upper, 0.9);
  EXPECT_LE(alarm->agreement_lower, *alarm->agreement);
}

TEST_F(PolicyLife, AnUpdateDeploysAndAVersionIsPutBack) {
  write_log(folder, "hard", {.rows = 500, .noise = 1.3});
  ASSERT_NE(run({"fit", "hard.jsonl", "--alpha", "0.9", "-o", "q", "-q"}).code, 1);
  EXPECT_EQ(list_versions(folder.path("q")).status().code(), ErrorCode::kBadInput);
  UpdateRequest request;
  request.folder = folder.path("q");
  request.original.traces = folder.path("hard.jsonl");
  request.source = answers("a", {.rows = 1200, .noise = 1.0, .seed = 2});
  const auto first = update_policy(*device, request, heard.events());
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(first->decision, UpdateDecision::kNone);
  EXPECT_EQ(first->champion, 1);
  EXPECT_EQ(first->taken.rows, 1200);
  EXPECT_EQ(first->taken.audit, 300);
  EXPECT_EQ(first->next, 2);
  EXPECT_FALSE(first->judged);
  EXPECT_FALSE(heard.notes.empty());

  request.delta = 0.01;
  const Status fixed = update_policy(*device, request, {}).status();
  EXPECT_EQ(fixed.field(), "delta");
  EXPECT_EQ(fixed.message(), "delta was fixed by the first update: 0.05");
  request.delta.reset();

  request.source = answers("b", {.rows = 3000, .noise = 1.0, .seed = 3});
  const auto second = update_policy(*device, request, {});
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_EQ(second->decision, UpdateDecision::kDeployed) << second->document.text;
  EXPECT_EQ(second->judged, 2);
  EXPECT_EQ(second->audit_rows, 750);
  EXPECT_EQ(second->champion, 2);
  EXPECT_EQ(second->policy, report_policy(request.folder)->policy);
  const Json told = Json::parse(second->document.json);
  EXPECT_EQ(told["decision"], "deployed");
  EXPECT_EQ(told["next"]["version"], *second->next);

  const auto list = list_versions(request.folder);
  ASSERT_TRUE(list.ok()) << list.status().message();
  expect_printed(list->document, {"versions", "q"});
  ASSERT_EQ(list->versions.size(), 3u);
  EXPECT_EQ(list->versions[1].status, "champion");
  EXPECT_EQ(list->versions[1].policy, second->policy);
  EXPECT_EQ(list->versions[2].status, "waiting");
  EXPECT_FALSE(list->versions[2].policy);

  DiffRequest diff;
  diff.before = request.folder + ".versions/v000001", diff.after = request.folder;
  const auto promises = compare_promises(diff);
  ASSERT_TRUE(promises.ok()) << promises.status().message();
  EXPECT_FALSE(promises->rows);
  EXPECT_EQ(promises->after.policy, second->policy);
  EXPECT_EQ(promises->after.coverage, list->versions[1].coverage);
  diff.source = request.source;
  const auto compared = compare_policies(*device, diff, {});
  ASSERT_TRUE(compared.ok()) << compared.status().message();
  EXPECT_EQ(compared->rows, 3000);
  EXPECT_GT(*compared->after.handled, *compared->before.handled);
  expect_printed(compared->document, {"diff", diff.before, diff.after, "--traces", diff.source.traces});

  EXPECT_EQ(promote_version(request.folder, 4).status().field(), "version");
  EXPECT_EQ(promote_version(request.folder, 0).status().field(), "version");
  EXPECT_EQ(promote_version(request.folder, 3).status().code(), ErrorCode::kRefused);
  const auto stays = promote_version(request.folder, 2);
  ASSERT_TRUE(stays.ok()) << stays.status().message();
  EXPECT_EQ(stays->before, 2);
  const auto back = rollback_version(request.folder);
  ASSERT_EQ(back.ok(), list->versions[0].agreement.has_value()) << back.status().message();
  if (back.ok()) {
    EXPECT_EQ(back->champion, 1);
    EXPECT_EQ(back->document.json, "{\n  \"champion\": 1,\n  \"before\": 2\n}\n");
  }
}

}  // namespace
}  // namespace tracer
