#include "host/api/report.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct ReportCommand {
  Common common;
  ReportPageRequest request;

  int run() const;
  int print_page() const;
};

int ReportCommand::run() const {
  if (!request.html.empty()) return print_page();
  const auto report = report_policy(request.policy.folder);
  return report.ok() ? print_result(common.console, report->document, kExitOk) : fail(common.console, report.status());
}

// A page on standard output stands alone there; beside a file, the figures are printed as without it.
int ReportCommand::print_page() const {
  const Console& console = common.console;
  const bool alone = request.html == "-";
  if (console.json && alone)
    return usage_error(console, "--json and --html - both want standard output; give --html a file");
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto page = make_report_page(*device, request, events_of(console));
  if (!page.ok()) return fail(console, page.status());
  if (alone) {
    const Status written = console.write("-", page->html);
    return written.ok() ? kExitOk : fail(console, written);
  }
  console.note("page in " + request.html);
  return print_result(console, page->report.document, kExitOk);
}

}  // namespace

void add_report(Flags& app, int& exit_code) {
  auto command = std::make_shared<ReportCommand>();
  ReportPageRequest& request = command->request;
  Flags* sub = app.add_subcommand("report", "coverage against alpha of a policy; with --html all that explains it");
  sub->add_option("DIR", request.policy.folder, "folder of the policy")->required();
  Flag* html = sub->add_option("--html", request.html,
                               "write a page for a browser: figures, map, tables of `explain`; - for standard output");
  const size_t before = sub->get_options().size();
  sub->add_option("--alpha", request.policy.alpha, "target to explain (default: the one fit was asked for)")
      ->check(open_unit_interval());
  add_explain_source(*sub, request.source);
  const std::vector<Flag*> all = sub->get_options();
  for (size_t i = before; i < all.size(); ++i) all[i]->needs(html);
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
