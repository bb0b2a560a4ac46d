#include "host/api/sweep.h"

#include "host/cli/command.h"
#include "host/cli/fit_flags.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"

namespace tracer::cli {
namespace {

struct SweepCommand {
  Common common;
  SweepRequest request;

  int run() const;
};

int SweepCommand::run() const {
  const Console& console = common.console;
  const bool streams = request.csv == "-" || request.svg == "-" || request.json_file == "-";
  if (console.json && streams)
    return usage_error(console, "standard output can carry one thing: --json, or one output called -");
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = sweep_log(*device, request, events_of(console));
  if (!report.ok()) return fail(console, report.status());
  if (streams) return kExitOk;
  if (!console.json)
    console.note("peak memory " + std::to_string(report->peak_memory_bytes >> 20) + " MiB, " +
                 duration(report->seconds) + " in all");
  return print_result(console, report->document, kExitOk);
}

}  // namespace

void add_sweep(Flags& app, int& exit_code) {
  auto command = std::make_shared<SweepCommand>();
  SweepRequest& request = command->request;
  Flags* sub = app.add_subcommand("sweep", "benchmark: coverage against alpha over several seeds and sizes of the log");
  sub->footer(
      "For benchmarks: no policy is written and no ledger is kept. Whoever looks at several seeds and then fits the "
      "best "
      "one has no certificate; name alpha and seed, and run fit once.");
  sub->add_option("TRACES", request.source.rows.traces, "traces: JSONL or CSV, plain or gzip; - for standard input")
      ->required();
  add_input_options(*sub, request.source.rows, true);
  sub->add_option("--test", request.test,
                  "fresh labelled rows, read alike: coverage and agreement are measured on them");
  sub->add_option("--test-embeddings", request.test_embeddings, "vectors of --test (default: as for TRACES)");
  sub->add_option("--alphas", request.alphas, "agreements with the teacher to certify")
      ->delimiter(',')
      ->check(open_unit_interval())
      ->capture_default_str();
  sub->add_option("--seeds", request.seeds, "how many seeds")->check(in_range(1, 10000))->capture_default_str();
  sub->add_option("--seed", request.first_seed, "the first of them; the others follow")
      ->check(in_range(int64_t{0}, int64_t{1} << 53))
      ->capture_default_str();
  sub->add_option("--curve", request.curve,
                  "learning curve: numbers of traces (500,1000,...) or auto; all rows always join");
  sub->add_option("--target-coverage", request.target,
                  "how many more traces for this coverage (default: half of the way to the plateau)")
      ->check(open_unit_interval());
  sub->add_option("--delta", request.delta, "chance of a false certificate that you accept, for each fit and alpha")
      ->check(open_unit_interval())
      ->capture_default_str();
  add_split_options(*sub, request.split, request.source.group_by);
  add_member_options(*sub, request.surrogate);
  sub->add_option("--min-coverage", request.min_coverage, "a policy that would handle less is refused")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_flag("--simultaneous", request.simultaneous,
                "the targets of a fit hold together, at delta / their number each");
  sub->add_flag("--approximate", request.approximate, "where runs do not certify exactly, use a design effect");
  add_local_encoder_options(*sub, request.source.encoder);
  add_description_options(*sub, request.surrogate.descriptions);
  sub->add_option("--csv", request.csv, "write a line for each size, seed and alpha to this file (-: standard output)");
  sub->add_option("--json-file", request.json_file, "write the JSON document to this file");
  sub->add_option("--svg", request.svg, "draw coverage against alpha, and the learning curves, to this file");
  sub->add_option("--state", request.state,
                  "keep finished fits in this file, and take over those it has: a sweep that was stopped goes on");
  sub->add_option(
         "--jobs", request.jobs,
         "fits at a time: on GPUs one each, from --device's on; on the CPU with an equal share of the threads. "
         "Each needs its memory; results are the same")
      ->check(in_range(1, 1024))
      ->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
