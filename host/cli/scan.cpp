#include "host/api/scan.h"

#include "host/cli/command.h"
#include "host/cli/fit_flags.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct ScanCommand {
  Common common;
  ScanRequest request;

  int run() const;
};

int ScanCommand::run() const {
  const Console& console = common.console;
  if (request.html == "-" && console.json)
    return usage_error(console, "two outputs want standard output; give --html a file");
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = scan_log(*device, request, events_of(console));
  if (!report.ok()) return fail(console, report.status());
  const int code = report->certified ? kExitOk : kExitRefused;
  if (request.html == "-") return console.print(report->page) ? code : kExitRuntime;
  if (request.output != "-") return print_result(console, report->document, code);
  return console.print(report->document.json) ? code : kExitRuntime;
}

}  // namespace

void add_scan(Flags& app, int& exit_code) {
  auto command = std::make_shared<ScanCommand>();
  ScanRequest& request = command->request;
  Flags* sub = app.add_subcommand("scan", "before any training: what could be handled, where, what it would save");
  sub->footer(
      "The vote of the nearest traces stands in for a surrogate, and is tested like one on rows that cast no vote: "
      "what is reported is proved, and a fit usually certifies more. Exit code 3: nothing is proved at --alpha.");
  sub->add_option("TRACES", request.source.rows.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, request.source.rows, true);
  sub->add_option("--alpha", request.alpha, "agreement with the teacher to prove")
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--sweep", request.sweep, "further agreements to look at")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--delta", request.delta, "chance that you accept that a proof is wrong")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, request.split, request.source.group_by);
  sub->add_option("--seed", request.split.seed, "of the split")->capture_default_str();
  const auto money = in_range(0.0, 1e9);
  sub->add_option("--price-in", request.prices.in, "USD a million tokens that the LLM reads")->check(money);
  sub->add_option("--price-out", request.prices.out, "USD a million tokens that it writes")->check(money);
  sub->add_option("--tokens-in", request.prices.tokens_in, "tokens of a call, the prompt among them")->check(money);
  sub->add_option("--tokens-out", request.prices.tokens_out, "tokens of an answer")->check(money);
  sub->add_option("--calls-per-day", request.prices.calls_per_day, "of your traffic")->check(in_range(0.0, 1e15));
  add_local_encoder_options(*sub, request.source.encoder);
  sub->add_flag("--force", request.force, "scan a log that is too short to prove much");
  sub->add_option("-o,--output", request.output, "write the JSON document to this file (-: standard output)");
  sub->add_option("--html", request.html,
                  "write a page for a browser: figures, a map of the cells; - for standard output");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
