#include "host/cli/job_cancel.h"

#include <chrono>
#include <thread>

#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/job_report.h"
#include "host/cli/llm_options.h"
#include "host/cli/send_batches.h"
#include "host/cli/signals.h"
#include "host/job/cancel.h"
#include "host/job/store.h"

namespace tracer::cli {
namespace {

struct CancelOptions {
  Common common;
  std::string job;
  ServerOptions server;
  double poll_seconds = 10, wait_seconds = 600;
};

// Asks the process that has the job, if there is one, to end it. False: it still has it after wait_seconds.
Result<bool> wait_for_job(const std::string& path, double wait_seconds) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration<double>(wait_seconds);
  bool asked = false;
  while (job::in_use(path)) {
    if (!asked) TRACER_RETURN_IF_ERROR(job::request_cancel(path));
    asked = true;
    if (Clock::now() > until || signals_seen() > 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

int cancel(const CancelOptions& options) {
  const Console& console = options.common.console;
  const std::string path = job_path_of(options.job);
  count_signals();
  auto ours = wait_for_job(path, options.wait_seconds);
  if (!ours.ok()) return fail(console, ours.status());
  if (signals_seen() > 0) return exit_code_of_signal();
  if (!*ours)
    return fail(console, io_error(path + ": the process that runs this job has not ended it yet; it was asked to"));
  auto store = job::Store::open(path);
  if (!store.ok()) return fail(console, store.status());
  // First of all: whatever becomes of the batches, nothing more is asked.
  const Status flagged = job::set_cancelled(*store, path, true);
  if (!flagged.ok()) return fail(console, flagged);
  auto before = store->ledger();
  if (!before.ok()) return fail(console, before.status());
  BatchesEnd end;
  if (before->batches > 0) {
    auto llm = llm_of_job(store->config(), path, &options.server);
    if (!llm.ok()) {
      console.error(path + ": cancelled, but " + counted(before->batches, "batch") + " of it go on at the server");
      return fail(console, llm.status());
    }
    auto ended = cancel_batches(console, *store, path, *llm, options.poll_seconds);
    if (!ended.ok()) return fail(console, ended.status());
    end = std::move(ended).value();
  }
  auto after = store->ledger();
  if (!after.ok()) return fail(console, after.status());
  const Status closed = store->close();
  if (!closed.ok()) return fail(console, closed);
  if (end.why == job::StopReason::kInterrupted) return exit_code_of_signal();
  if (end.why != job::StopReason::kNone)
    return fail(console, io_error(path + ": cancelled, but " + counted(after->batches, "batch") +
                                  " may go on at the server: " + to_string(end.why) +
                                  (end.said.empty() ? "" : " (" + end.said + ")")));
  if (console.json)
    return console.print_json({{"cancelled", true},
                               {"not_asked", after->pending},
                               {"batches_ended", before->batches},
                               {"answered_in_them", after->answered - before->answered}},
                              kExitOk);
  std::string text = "cancelled: " + counted(after->pending, "text") + " not answered";
  if (before->batches > 0)
    text += ", " + counted(before->batches, "batch") + " ended with " +
            std::to_string(after->answered - before->answered) + " answers";
  text += "; `tracer run ... --resume` writes the lines, with --retry-errors it takes the job up again\n";
  return console.print(text) ? kExitOk : kExitRuntime;
}

}  // namespace

void add_job_cancel(Flags& job, int& exit_code) {
  auto options = std::make_shared<CancelOptions>();
  Flags* sub = job.add_subcommand("cancel", "ends a job: nothing more is asked, its batches are cancelled");
  sub->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  add_server_options(*sub, options->server);
  sub->add_option("--poll-seconds", options->poll_seconds, "between two looks at batches that are being cancelled")
      ->check(in_range(0.01, 86'400.0))
      ->capture_default_str();
  sub->add_option("--wait-seconds", options->wait_seconds, "for the process that runs the job")
      ->check(not_negative())
      ->capture_default_str();
  add_common(*sub, options->common, false);
  sub->callback([options, &exit_code] { exit_code = cancel(*options); });
}

}  // namespace tracer::cli
