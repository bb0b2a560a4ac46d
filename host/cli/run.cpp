#include "host/api/job.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/llm_flags.h"
#include "host/cli/shared_flags.h"
#include "host/cli/signals.h"

namespace tracer::cli {
namespace {

struct RunCommand {
  Common common;
  JobRequest request;
  LlmFlags llm;
  bool dry_run = false;

  int run();
};

int exit_code_of(JobOutcome outcome) {
  switch (outcome) {
    case JobOutcome::kComplete:
      return kExitOk;
    case JobOutcome::kPartial:
      return kExitPartial;
    case JobOutcome::kBudget:
      return kExitBudget;
    case JobOutcome::kUnserved:
      return kExitRuntime;
  }
  return kExitRuntime;
}

int RunCommand::run() {
  const Console& console = common.console;
  const std::string fault = llm.settle();
  if (!fault.empty()) return usage_error(console, fault);
  request.llm = llm.options;
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  Events events = events_of(console);
  if (dry_run) {
    const auto price = price_job(*device, request, events);
    return price.ok() ? print_result(console, price->document, kExitOk) : fail(console, price.status());
  }
  count_signals();
  events.abandoned = [] { return signals_seen() > 1; };
  const auto report = run_job(*device, request, events);
  if (report.status().code() == ErrorCode::kInterrupted) return exit_code_of_signal();
  if (!report.ok()) return fail(console, report.status());
  if (!report->problem.empty()) console.error(as_flags(report->problem));
  const int code = exit_code_of(report->outcome);
  return console.json ? print_result(console, report->document, code) : code;
}

}  // namespace

void add_run(Flags& app, int& exit_code) {
  auto command = std::make_shared<RunCommand>();
  JobRequest& request = command->request;
  Flags* sub = app.add_subcommand("run", "answer every row: by the surrogate, or by the LLM where it is deferred");
  add_policy_options(*sub, request.policy);
  sub->add_option("IN", request.input.traces, "rows with their text: JSONL or CSV, plain or gzip")->required();
  add_input_options(*sub, request.input, false);
  sub->add_option("-o,--output", request.output, "output file; the job's state is kept beside it, in FILE.job");
  add_llm_options(*sub, command->llm);
  sub->add_option("--audit-rate", request.audit_rate,
                  "share of all rows, picked before the policy is asked, that go to the LLM as well")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_option("--audit-seed", request.audit_seed, "of the picks (default: random for each job)")
      ->check(not_negative());
  sub->add_flag("--resume", request.resume, "go on with the job of this output, if there is one");
  sub->add_flag("--retry-errors", request.retry_errors, "with --resume: ask again where the LLM gave no answer");
  sub->add_flag("--dry-run", command->dry_run, "price the job: nothing is sent, nothing written");
  sub->add_flag("--hold", request.hold,
                "route everything, send nothing: what the LLM is asked waits for `tracer job batch-export`");
  sub->add_flag(
      "--batch", request.batch,
      "ask through the server's batch API (cheaper, within a day): submit, poll, take in, ask again what failed");
  sub->add_option("--poll-seconds", request.poll_seconds, "with --batch: between two looks at the batches")
      ->check(in_range(0.01, 86'400.0))
      ->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
