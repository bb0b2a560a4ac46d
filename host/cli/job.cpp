#include "host/api/job.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/llm_flags.h"
#include "host/cli/shared_flags.h"
#include "host/cli/signals.h"

namespace tracer::cli {
namespace {

struct JobCommand {
  Common common;
  std::string job;  // the output or its .job
  std::string output;
  std::string input;  // the run's IN
  bool partial = false;
  JobExportRequest traces;
  JobPartialRequest rest;
  JobCancelRequest cancelling;
  JobBatchImport answers;

  int status() const;
  int export_to_file();
  int export_traces();
  int export_rest();
  int cancel();
  int batch_export() const;
  int batch_import();

  // Prints what was found.
  template <class Report>
  int print(const Result<Report>& report) const {
    const Console& console = common.console;
    return report.ok() ? print_result(console, report->document, kExitOk) : fail(console, report.status());
  }
  // For what writes to -o: people are told on stderr.
  template <class Report>
  int tell(const Result<Report>& report) const {
    if (!report.ok()) return fail(common.console, report.status());
    common.console.note_lines(report->document.text);
    return kExitOk;
  }
};

int JobCommand::status() const { return print(job_status(job)); }

int JobCommand::export_to_file() { return partial ? export_rest() : export_traces(); }

int JobCommand::export_traces() {
  traces.job = job, traces.output = output, traces.input = input;
  return tell(export_job(traces));
}

int JobCommand::export_rest() {
  const Console& console = common.console;
  if (console.json && output == "-")
    return usage_error(console, "--json and -o - both want standard output; give -o a file");
  rest.job = job, rest.output = output, rest.input.traces = input;
  const auto device = open_device(common);
  if (!device.ok()) return fail(console, device.status());
  const auto report = export_job_rest(*device, rest, events_of(console));
  const int told = tell(report);
  return report.ok() && console.json ? print(report) : told;
}

int JobCommand::cancel() {
  cancelling.job = job;
  count_signals();
  const auto report = cancel_job(cancelling, events_of(common.console));
  return report.status().code() == ErrorCode::kInterrupted ? exit_code_of_signal() : print(report);
}

int JobCommand::batch_export() const { return print(export_job_batch(job, output)); }

int JobCommand::batch_import() {
  answers.job = job;
  return print(import_job_batch(answers));
}

void add_export_options(Flags& app, JobCommand& o) {
  app.add_option("-o,--output", o.output, "traces, or lines of the output (JSONL); - for standard output")->required();
  Flag* input = app.add_option("--input", o.input,
                               "the run's IN: for --partial, and for --vectors where rows of it could not be read");
  Flag* partial = app.add_flag(
      "--partial", o.partial,
      "instead of traces, the lines that the output lacks so far and that rows without an answer hold back");
  RowSource& rows = o.rest.input;
  Flag* policy = app.add_option("--policy", o.rest.policy, "with --partial: the run's DIR")->needs(partial);
  Flag* given = app.add_option("--embeddings", rows.embeddings, "with --partial: as for the run")->needs(partial);
  app.add_option("--embed-model", rows.encoder, "with --partial: as for the run")->needs(partial)->excludes(given);
  add_embed_options(app, rows.embed);
  partial->needs(policy, input);
  app.add_option("--vectors", o.traces.vectors, "vectors of the job's input (.npy); those of the traces go beside them")
      ->excludes(partial);
}

}  // namespace

void add_job(Flags& app, int& exit_code) {
  Flags* sub = app.add_subcommand("job", "the state of a `tracer run`");
  sub->require_subcommand();
  auto command = std::make_shared<JobCommand>();
  const auto add = [&](const std::string& name, const std::string& what) {
    Flags* flags = sub->add_subcommand(name, what);
    flags->add_option("JOB", command->job, "the output of the run, or its .job file")->required();
    return flags;
  };
  Flags* show = add("status", "how far it is, and what it cost");
  add_common(*show, command->common, false);
  show->callback([command, &exit_code] { exit_code = command->status(); });

  Flags* out = add("export", "the LLM's answers as traces, with their provenance; or --partial");
  add_export_options(*out, *command);
  add_common(*out, command->common, true);
  out->callback([command, &exit_code] { exit_code = command->export_to_file(); });

  Flags* cancel = add("cancel", "ends a job: nothing more is asked, its batches are cancelled");
  add_server_options(*cancel, command->cancelling.server);
  cancel
      ->add_option("--poll-seconds", command->cancelling.poll_seconds,
                   "between two looks at batches that are being cancelled")
      ->check(in_range(0.01, 86'400.0))
      ->capture_default_str();
  cancel->add_option("--wait-seconds", command->cancelling.wait_seconds, "for the process that runs the job")
      ->check(not_negative())
      ->capture_default_str();
  add_common(*cancel, command->common, false);
  cancel->callback([command, &exit_code] { exit_code = command->cancel(); });

  Flags* ask = add("batch-export", "what is still to be asked, as files for a batch API");
  ask->add_option("-o,--output", command->output, "requests (JSONL); FILE.2 and so on where one cannot hold them")
      ->required();
  add_common(*ask, command->common, false);
  ask->callback([command, &exit_code] { exit_code = command->batch_export(); });

  Flags* take = add("batch-import", "takes in a batch API's files of results and errors");
  take->add_option("RESULTS", command->answers.results, "files, in any order; each is taken in whole or not at all")
      ->required();
  add_common(*take, command->common, false);
  take->callback([command, &exit_code] { exit_code = command->batch_import(); });
}

}  // namespace tracer::cli
