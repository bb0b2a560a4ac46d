#include "host/api/evaluate.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct EvaluateCommand {
  Common common;
  EvaluateRequest request;
  double fail_below = -1;

  int run() const;
};

int EvaluateCommand::run() const {
  const Console& console = common.console;
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto found = evaluate_policy(*device, request, events_of(console));
  if (!found.ok()) return fail(console, found.status());
  const bool alarm = fail_below >= 0 && !(found->agreement && *found->agreement >= fail_below);
  return print_result(console, found->document, alarm ? kExitAlarm : kExitOk);
}

}  // namespace

void add_evaluate(Flags& app, int& exit_code) {
  auto command = std::make_shared<EvaluateCommand>();
  Flags* sub = app.add_subcommand("evaluate", "test a policy on fresh labelled rows");
  add_policy_options(*sub, command->request.policy);
  sub->add_option("TRACES", command->request.source.traces,
                  "labelled rows: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->request.source, true);
  sub->add_option("--errors", command->request.errors,
                  "write every handled disagreement to this file, a JSON line each");
  sub->add_option("--fail-below", command->fail_below,
                  "exit with 6 when agreement on handled rows is below this, or no row is handled")
      ->check(unit_interval());
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
