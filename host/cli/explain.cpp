#include "host/api/explain.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct ExplainCommand {
  Common common;
  ExplainRequest request;
  std::optional<std::string> output;

  int run();
};

int ExplainCommand::run() {
  const Console& console = common.console;
  request.output = output.value_or(console.json ? "" : "explain.json");
  if (console.json && (request.output == "-" || request.rows_output == "-"))
    return usage_error(console, "--json and a - for an output both want standard output; name a file");
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto explained = explain_policy(*device, request, events_of(console));
  if (!explained.ok()) return fail(console, explained.status());
  const Document& found = explained->document;
  if (console.json) return print_result(console, found, kExitOk);
  if (request.output == "-") return print_result({.json = true}, found, kExitOk);
  const std::string text = found.text + "all of it in " + shown(request.output) + "\n";
  if (request.rows_output != "-") return console.print(text) ? kExitOk : kExitRuntime;
  console.note_lines(text);  // standard output holds the rows
  return kExitOk;
}

}  // namespace

void add_explain(Flags& app, int& exit_code) {
  auto command = std::make_shared<ExplainCommand>();
  ExplainRequest& request = command->request;
  Flags* sub = app.add_subcommand("explain", "why a policy handles and why it defers, on rows it never learned from");
  add_policy_options(*sub, request.policy);
  add_explain_source(*sub, request.source);
  sub->add_option("--label", request.label, "only rows that the teacher or the surrogate gives this label");
  sub->add_option("-o,--output", command->output,
                  "file of the whole explanation; - for standard output (default: explain.json; with --json none)");
  sub->add_option("--rows", request.rows_output, "write a JSON line for each row to this file; - for standard output");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
