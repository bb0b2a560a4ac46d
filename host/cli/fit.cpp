#include "host/api/fit.h"

#include "host/cli/command.h"
#include "host/cli/fit_flags.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct FitCommand {
  Common common;
  LogSource source;
  FitRequest request;
  std::string output = ".tracer";

  int run();
};

int FitCommand::run() {
  const Console& console = common.console;
  request.explain = !console.json;
  auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = fit_policy(*device, source, request, output, events_of(console));
  if (!report.ok()) return fail(console, report.status());
  return print_result(console, report->document, report->certified ? kExitOk : kExitRefused);
}

}  // namespace

void add_fit(Flags& app, int& exit_code) {
  auto command = std::make_shared<FitCommand>();
  Flags* sub = app.add_subcommand("fit", "learn a surrogate from traces, certify it, write the policy");
  sub->add_option("TRACES", command->source.rows.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, command->source.rows, true);
  FitRequest& fit = command->request;
  sub->add_option("--alpha", fit.alpha, "agreement with the teacher to certify")
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--sweep", fit.sweep, "other targets to certify on the way")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--delta", fit.delta, "chance of a false certificate that you accept")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, fit.split, command->source.group_by);
  add_member_options(*sub, fit.surrogate);
  sub->add_option("--min-coverage", fit.min_coverage, "a policy that would handle less is refused")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_option("--never", fit.never, "labels always left to the teacher: LABEL,...; may be given again")
      ->one_value_each();
  sub->add_option("--label-floor", fit.label_floor,
                  "leave labels to the teacher that learn does not show to agree this often")
      ->check(open_unit_interval());
  Flag* cascade =
      sub->add_flag("--cascade", fit.cascade,
                    "let a stage on the words of the text answer easy rows, before the text encoder sees them");
  sub->add_option("--cascade-tolerance", fit.cascade_tolerance,
                  "share of all rows of expected coverage that the first stage may cost")
      ->check(unit_interval())
      ->needs(cascade)
      ->capture_default_str();
  sub->add_option(
         "--max-references", fit.surrogate.max_references,
         "learn rows to look neighbours up among and to compare candidates on; of a larger log a random sample")
      ->check(in_range(int64_t{100}, int64_t{1} << 31))
      ->capture_default_str();
  sub->add_option("--budget-seconds", fit.budget_seconds,
                  "once learning took this long, try nothing more; the policy's bytes then depend on time")
      ->check(not_negative());
  sub->add_flag("--simultaneous", fit.simultaneous,
                "all targets hold together: each is tested at delta / their number");
  sub->add_option("--looks", fit.looks, "how many fits of this log will share delta")
      ->check(in_range(1, 1000))
      ->capture_default_str();
  sub->add_flag("--approximate", fit.approximate, "where runs do not certify exactly, use a design effect and say so");
  sub->add_option("--seed", fit.split.seed, "same seed, same bytes")->capture_default_str();
  add_local_encoder_options(*sub, command->source.encoder);
  add_description_options(*sub, fit.surrogate.descriptions);
  sub->add_option("-o,--output", command->output, "folder of the policy")->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
