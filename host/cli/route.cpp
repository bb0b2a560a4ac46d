#include "host/api/route.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct RouteCommand {
  Common common;
  RouteRequest request;

  int run() const;
};

int RouteCommand::run() const {
  const Console& console = common.console;
  if (console.json && request.output == "-")
    return usage_error(console, "--json and -o - both want standard output; give -o a file");
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = route_file(*device, request, events_of(console));
  if (!report.ok()) return fail(console, report.status());
  const int code = report->bad_rows > 0 ? kExitPartial : kExitOk;
  return console.json ? print_result(console, report->document, code) : code;
}

}  // namespace

void add_route(Flags& app, int& exit_code) {
  auto command = std::make_shared<RouteCommand>();
  Flags* sub = app.add_subcommand("route", "answer or defer each row: one JSON line a row, in order");
  add_policy_options(*sub, command->request.policy);
  sub->add_option("IN", command->request.source.traces, "rows: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->request.source, false);
  sub->add_option("-o,--output", command->request.output, "output file; - for standard output")->required();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
