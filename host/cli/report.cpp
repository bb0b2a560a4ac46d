// Coverage against alpha of a policy: as text or JSON, and as a page for a browser.
#include <cerrno>

#include "host/artifact/artifact.h"
#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/explain/explained.h"
#include "host/io/file.h"
#include "host/report/data.h"
#include "host/report/map.h"

namespace tracer::cli {
namespace {

struct ReportCommand {
  Common common;
  PolicyOptions policy;
  ExplainSource source;  // of the page's figures
  std::string html;

  int run();
  std::string usage_fault() const;
  int run_page();
  Status write_page(const LoadedPolicy& loaded) const;
  int print(const Artifact& artifact) const;
};

Json report_json(const Artifact& artifact) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  return {{"policy", artifact.digest},
          {"alpha", p.alpha},
          {"delta", p.delta},
          {"simultaneous", p.simultaneous},
          {"labels", p.labels.size()},
          {"dimension", p.dimension},
          {"traces", {{"path", from.traces_path}, {"sha256", from.traces_sha256}, {"rows", from.traces_rows}}},
          {"run", artifact.run},
          {"deferred_labels", deferred_labels_json(p)},
          {"frontier", artifact.frontier},
          {"explain", artifact.explain}};
}

std::string report_text(const Artifact& artifact) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  std::string text = "policy fitted on " + counted(from.traces_rows, "trace") + " (" + shown(from.traces_path) + "), " +
                     counted(static_cast<int64_t>(p.labels.size()), "label") + ", asked for alpha " + number(p.alpha) +
                     ", delta " + number(p.delta) +
                     (p.simultaneous ? ", all targets together\n" : ", each target alone\n");
  if (!p.stages.empty() && !p.certificates.empty())
    if (const auto references = static_cast<int64_t>(p.stages[0].neighbours.label.size());
        references < p.certificates[0].n_learn)
      text += "neighbours are looked up among a sample of " + std::to_string(references) + " of " +
              std::to_string(p.certificates[0].n_learn) + " learn rows\n";
  text += frontier_table(artifact.frontier);
  text += deferred_labels_text(p);
  for (const Json& warning : artifact.explain.value("warnings", Json::array()))
    if (warning.is_string()) text += "warning: " + shown(warning.get<std::string>()) + "\n";
  const Json suspects = artifact.explain.value("suspects", Json::array());
  if (!suspects.empty()) text += "most certain disagreements (often the teacher's own mistakes):\n";
  int listed = 0;
  for (const Json& s : suspects) {
    if (++listed > 5 || !s.is_object()) break;
    text += "  line " + std::to_string(s.value("line", int64_t{0})) + ": teacher " + shown(s.value("teacher", "?")) +
            ", surrogate " + shown(s.value("surrogate", "?")) + " (" + percent(s.value("score", 0.0)) + " sure)\n";
  }
  return text;
}

std::string ReportCommand::usage_fault() const {
  if (common.console.json && html == "-") return "--json and --html - both want standard output; give --html a file";
  return "";
}

Status ReportCommand::write_page(const LoadedPolicy& loaded) const {
  const Console& console = common.console;
  TRACER_ASSIGN_OR_RETURN(auto backend, open_backend(common));
  TRACER_ASSIGN_OR_RETURN(auto explained, explain_unseen(*backend, loaded, source, events_of(console)));
  TRACER_ASSIGN_OR_RETURN(auto map, report_map(*backend, map_rows(explained.explanation)));
  const std::string page =
      bounded_page(loaded.artifact, loaded.certificate, policy.folder, explain_document(explained, nullptr), map);
  if (page.empty()) return internal_error("the page's digests could not be computed");
  return console.write(html, page);
}

// A page on standard output stands alone there; beside a file, the figures are printed as without it.
int ReportCommand::run_page() {
  const Console& console = common.console;
  if (const std::string fault = usage_fault(); !fault.empty()) return usage_error(console, fault);
  auto loaded = open_to_explain(policy, source, {{option("html"), html}});
  if (!loaded.ok()) return fail(console, loaded.status());
  if (const Status written = write_page(*loaded); !written.ok()) return fail(console, written);
  if (html == "-") return kExitOk;
  console.note("page in " + html);
  return print(loaded->artifact);
}

int ReportCommand::print(const Artifact& artifact) const {
  const Console& console = common.console;
  if (console.json) return console.print_json(report_json(artifact), kExitOk);
  return console.print(report_text(artifact)) ? kExitOk : kExitRuntime;
}

int ReportCommand::run() {
  if (!html.empty()) return run_page();
  auto artifact = read_artifact(policy.folder);
  return artifact.ok() ? print(*artifact) : fail(common.console, artifact.status());
}

}  // namespace

void add_report(Flags& app, int& exit_code) {
  auto command = std::make_shared<ReportCommand>();
  Flags* sub = app.add_subcommand("report", "coverage against alpha of a policy; with --html all that explains it");
  sub->add_option("DIR", command->policy.folder, "folder of the policy")->required();
  Flag* html = sub->add_option("--html", command->html,
                               "write a page for a browser: figures, map, tables of `explain`; - for standard output");
  const size_t before = sub->get_options().size();
  sub->add_option("--alpha", command->policy.alpha, "target to explain (default: the one fit was asked for)")
      ->check(open_unit_interval());
  add_explain_source(*sub, command->source);
  const std::vector<Flag*> all = sub->get_options();
  for (size_t i = before; i < all.size(); ++i) all[i]->needs(html);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
