#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "host/artifact/frontier_text.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/job_config.h"
#include "host/cli/job_report.h"
#include "host/cli/job_rows.h"
#include "host/cli/llm_options.h"
#include "host/cli/run_price.h"
#include "host/cli/send_batches.h"
#include "host/cli/shared_flags.h"
#include "host/cli/signals.h"
#include "host/encoder/source.h"
#include "host/io/file.h"
#include "host/job/cancel.h"
#include "host/job/dispatcher.h"
#include "host/job/journal.h"
#include "host/job/store.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer::cli {
namespace {

namespace fs = std::filesystem;

struct RunCommand {
  Common common;
  PolicyOptions policy;
  RowSource input;
  LlmOptions llm_options;
  std::string output;
  double audit_rate = 0;
  std::optional<int64_t> audit_seed;
  bool resume = false, retry_errors = false, dry_run = false, hold = false, batch = false;
  double poll_seconds = 60;

  int run();
  int pass(Backend& backend, const LoadedPolicy& loaded, const Llm& llm);
  int run_batches(Backend& backend, const LoadedPolicy& loaded, const Llm& llm);
  int work_on(job::Store store, Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, const Llm& llm);
  Json config(const LoadedPolicy& loaded, const Llm& llm) const;
  Result<job::Store> open_job(const Json& wanted) const;
  Status route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, job::Journal& journal);
  Status work(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, job::Journal& journal,
              job::Dispatcher& dispatcher);
  int report(const LoadedPolicy& loaded, const BatchReader& reader, job::Store& store,
             const job::Dispatcher& dispatcher);
  void show_progress(const job::Journal& journal, const job::Dispatcher& dispatcher);

  std::string job_path() const { return output + ".job"; }
  std::string rejects_path() const {
    return dry_run ? "" : !input.rejects.empty() ? input.rejects : output + ".rejects.jsonl";
  }

  // Why the pass at hand sends nothing, and what the server said.
  std::optional<job::StopReason> held_;
  std::string held_message_;
  bool batches_follow_ = false;  // the pass at hand is the one before the batches
  std::optional<JobRows> rows_;
  int64_t first_row_ = 0;  // of this run
  std::chrono::steady_clock::time_point shown_at_ = std::chrono::steady_clock::now();
};

Json RunCommand::config(const LoadedPolicy& loaded, const Llm& llm) const {
  Json config = rows_config(loaded, input);
  config["audit_rate"] = audit_rate;
  config["llm"] = llm.config;
  return config;
}

Result<job::Store> RunCommand::open_job(const Json& wanted) const {
  const std::string path = job_path();
  std::error_code ec;
  bool there = fs::exists(path, ec);
  if (there && !resume)
    return bad_input(path +
                     ": there is a job of this output already: --resume goes on with it; to begin anew, remove " +
                     path + " (its paid answers are in it)");
  if (there) {
    TRACER_ASSIGN_OR_RETURN(auto unborn, job::Store::remove_unborn(path));
    there = !unborn;
  }
  if (!there) {
    Json config = wanted;
    // Which rows are audited must not be foreseen by who sends them.
    std::random_device device;
    char id[17];
    std::snprintf(id, sizeof id, "%08x%08x", device(), device());
    config["job_id"] = id;  // names the occurrence of a row, whatever other jobs read it
    config["audit_seed"] = audit_seed ? static_cast<uint64_t>(*audit_seed) : (uint64_t{device() >> 1} << 32 | device());
    return job::Store::create(path, config);
  }
  auto store = job::Store::open(path);
  if (!store.ok()) return store;
  const std::string differs = difference(wanted, store->config());
  if (!differs.empty()) return bad_input(path + ": not the same job: " + differs);
  return store;
}

Status RunCommand::route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, job::Journal& journal) {
  int64_t at = first_row_;
  const Status routed = score_all(backend, loaded, reader, [&](ScoredBatch& scored) -> Status {
    std::vector<job::RoutedRow> rows(scored.batch.rows.size());
    for (size_t i = 0; i < rows.size(); ++i, ++at) rows[i] = rows_->route(scored.batch.rows[i], scored.scores[i], at);
    while (true) {
      if (signals_seen() > 0) return {ErrorCode::kInterrupted, "stopped"};
      TRACER_ASSIGN_OR_RETURN(auto taken, journal.add(rows));
      if (taken) return {};
    }
  });
  TRACER_RETURN_IF_ERROR(routed);
  return journal.routing_done();
}

void RunCommand::show_progress(const job::Journal& journal, const job::Dispatcher& dispatcher) {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_at_ < std::chrono::seconds(10)) return;
  shown_at_ = now;
  const job::JournalCounts c = journal.counts();
  const job::DispatchCounts d = dispatcher.counts();
  std::string line = counted(first_row_ + c.routed, "row") + " routed, " + std::to_string(first_row_ + c.written) +
                     " written; LLM: " + std::to_string(d.answered) + " answered, " + std::to_string(d.failed) +
                     " failed, " + std::to_string(d.in_flight) + " in flight of " + std::to_string(d.limit);
  if (d.retried > 0) line += ", " + counted(d.retried, "retry");
  if (d.cost > 0) line += ", " + number(llm::dollars(d.cost)) + " USD";
  if (d.waiting) line += "; waiting for the server";
  common.console.note(line);
}

// Routes and dispatches until all is written, or a signal, an error or a spent budget ends it. What has been answered
// is stored in every case.
Status RunCommand::work(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, job::Journal& journal,
                        job::Dispatcher& dispatcher) {
  journal.start([&](std::vector<job::PendingAsk> asks, bool end) { dispatcher.deliver(std::move(asks), end); },
                [&](int64_t attempts) { dispatcher.kept(attempts); });
  std::atomic<bool> dispatched{false};
  if (held_) dispatcher.hold(*held_);
  std::thread dispatching([&] {
    dispatcher.run();
    dispatched.store(true);
  });
  std::atomic<bool> watching{true};
  std::thread watcher([&] {  // routing may be busy, or wait: signals and progress have a thread of their own
    while (watching.load()) {
      if (signals_seen() > 0) dispatcher.stop(signals_seen() > 1);
      if (job::cancel_requested(job_path())) dispatcher.cancel();
      show_progress(journal, dispatcher);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const Status routed = route(backend, loaded, reader, journal);
  if (!routed.ok()) dispatcher.stop(false);
  while (!dispatched.load() && !journal.wait(50)) {
  }
  dispatching.join();
  if (!routed.ok() || signals_seen() > 0) journal.stop();
  const Status joined = journal.join();
  watching.store(false);
  watcher.join();
  if (!joined.ok()) return joined;
  if (signals_seen() > 0) return {ErrorCode::kInterrupted, "stopped"};
  return routed;
}

int RunCommand::report(const LoadedPolicy& loaded, const BatchReader& reader, job::Store& store,
                       const job::Dispatcher& dispatcher) {
  const Console& console = common.console;
  auto ledger = store.ledger();
  if (!ledger.ok()) return fail(console, ledger.status());
  auto figures = job_json(store, *ledger);
  if (!figures.ok()) return fail(console, figures.status());
  const bool held = dispatcher.stop_reason() == job::StopReason::kHeld;
  const job::StopReason stopped = held && ledger->pending == 0 ? job::StopReason::kNone : dispatcher.stop_reason();
  const std::string& said = held_ ? held_message_ : dispatcher.stop_message();
  const int64_t errors = (*figures)["sources"]["error"].get<int64_t>();
  const int64_t bad = reader.rejects().count();
  Json document = {{"policy", loaded.artifact.digest},
                   {"alpha", loaded.certificate.alpha},
                   {"threshold", loaded.certificate.threshold},
                   {"stopped", stopped == job::StopReason::kNone ? Json() : Json(to_string(stopped))}};
  document.update(*figures);
  document["bad_rows"] = bad;
  document["warnings"] = loaded.warning.empty() ? Json::array() : Json::array({loaded.warning});
  if (makes_regular_file(output)) {
    const Status written = io::write_file_atomic(output + ".meta.json", json_text(document));
    if (!written.ok()) return fail(console, written);
  }
  const Json& sources = document["sources"];
  console.note(counted(store.routed(), "row") + ": " + std::to_string(sources["surrogate"].get<int64_t>()) +
               " by the surrogate, " + std::to_string(sources["llm"].get<int64_t>()) + " by the LLM, " +
               std::to_string(sources["cache"].get<int64_t>()) + " as an equal text before, " + std::to_string(errors) +
               " without an answer; " + spent_text(*ledger, is_priced(store.config())));
  int code = errors > 0 || bad > 0 ? kExitPartial : kExitOk;
  if (bad > 0)
    console.warn(counted(bad, "row") + " could not be read, without a line in the output; first, " +
                 reader.rejects().first() + "; all of them in " + reader.rejects().path());
  switch (stopped) {
    case job::StopReason::kNone:
    case job::StopReason::kInterrupted:
      break;
    case job::StopReason::kHeld:
    case job::StopReason::kCancelled:
      code = ledger->pending > 0 ? kExitPartial : code;
      break;
    case job::StopReason::kCost:
    case job::StopReason::kRequests:
    case job::StopReason::kDeadline:
    case job::StopReason::kQuota:
      code = kExitBudget;
      break;
    case job::StopReason::kUnauthorized:
    case job::StopReason::kRefused:
    case job::StopReason::kUnavailable:
      code = kExitRuntime;
      break;
  }
  if (stopped == job::StopReason::kHeld)
    console.note(counted(ledger->pending, "text") +
                 " wait for the LLM: `tracer job batch-export`, or --resume without --hold");
  else if (stopped == job::StopReason::kCancelled)
    console.warn("cancelled: " + counted(ledger->pending, "text") +
                 " not answered, and nothing more is asked; --resume --retry-errors takes the job up again");
  else if (stopped != job::StopReason::kNone)
    console.error("nothing more was sent: " + to_string(stopped) + (said.empty() ? "" : " (" + said + ")") + "; " +
                  counted(ledger->pending, "text") + " not answered; --resume goes on");
  else if (errors > 0)
    console.warn(counted(errors, "row") + " without an answer, each line says why; --resume --retry-errors asks again");
  return console.json ? console.print_json(document, code) : code;
}

int RunCommand::run() {
  const Console& console = common.console;
  if (input.traces == "-") return usage_error(console, "IN must be a file: a job that goes on reads it again");
  if (!dry_run && output.empty()) return usage_error(console, "-o is missing: the file of the answers");
  if (!dry_run && (output == "-" || !makes_regular_file(output)))
    return usage_error(console, "-o must be a regular file: a job that goes on reads what it wrote");
  if (retry_errors && !resume) return usage_error(console, "--retry-errors goes with --resume");
  if (batch && hold) return usage_error(console, "--batch sends what --hold keeps back: give one of them");
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  if (!dry_run) {
    const Status clash = check_outputs({{option("output"), output},
                                        {option("rejects"), rejects_path()},
                                        {"the summary of -o,", output + ".meta.json"},
                                        {"the job of -o,", job_path()},
                                        {option("embed_cache"), input.embed.cache}},
                                       {{"IN", input.traces},
                                        {option("embeddings"), *vectors},
                                        {option("prompt"), llm_options.prompt},
                                        {option("prices"), llm_options.prices},
                                        {option("llm_key_file"), llm_options.server.key_file},
                                        {option("embed_key_file"), input.embed.key_file}},
                                       policy.folder);
    if (!clash.ok()) return fail(console, clash);
  }
  auto loaded = load_policy(policy, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  auto llm = make_llm(llm_options, loaded->artifact.policy.labels, !dry_run && !hold, batch);
  if (!llm.ok()) {
    const bool usage = llm.status().code() == ErrorCode::kBadInput && llm.status().message().rfind("--", 0) == 0;
    return usage ? usage_error(console, llm.status().message()) : fail(console, llm.status());
  }
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  if (!dry_run) count_signals();
  if (batch && !dry_run) return run_batches(**backend, *loaded, *llm);
  if (hold) held_ = job::StopReason::kHeld;
  return pass(**backend, *loaded, *llm);
}

// Once through the input: what the output has not got is routed, asked for (unless held), and written.
int RunCommand::pass(Backend& backend, const LoadedPolicy& loaded, const Llm& llm) {
  const Console& console = common.console;
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  auto source = open_vectors(*vectors, input, loaded, backend, events_of(console));
  if (!source.ok() && source.status().code() == ErrorCode::kInterrupted) return exit_code_of_signal();
  if (!source.ok()) return fail(console, source.status());
  auto reader = BatchReader::open(input, false, true, loaded.artifact.policy.dimension, rejects_path(), *source,
                                  events_of(console));
  if (!reader.ok()) return fail(console, reader.status());
  if (dry_run) {
    const JobRows rows(loaded, audit_rate, static_cast<uint64_t>(audit_seed.value_or(0)),
                       llm.dispatch.price.has_value());
    return price_job(console, backend, loaded, *reader, rows, llm);
  }
  auto store = open_job(config(loaded, llm));
  if (!store.ok()) return fail(console, store.status());
  rows_.emplace(loaded, audit_rate, store->config()["audit_seed"].get<uint64_t>(), is_priced(store->config()));
  const Status recovered = store->recover(retry_errors);
  if (!recovered.ok()) return fail(console, recovered);
  auto cancelled = job::is_cancelled(*store);
  if (!cancelled.ok()) return fail(console, cancelled.status());
  if (*cancelled && retry_errors) {
    const Status again = job::set_cancelled(*store, job_path(), false);
    if (!again.ok()) return fail(console, again);
  } else if (*cancelled) {
    held_ = job::StopReason::kCancelled;
  }
  return work_on(std::move(store).value(), backend, loaded, *reader, llm);
}

int RunCommand::work_on(job::Store store, Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                        const Llm& llm) {
  const Console& console = common.console;
  auto open_row = store.first_open_row();
  auto checkpoints = store.checkpoints();
  auto spent = store.ledger();
  for (const Status& s : {open_row.status(), checkpoints.status(), spent.status()})
    if (!s.ok()) return fail(console, s);
  if (spent->batches > 0 && !held_)
    return fail(console, bad_input(job_path() + ": " + counted(spent->in_batches, "text") + " in " +
                                   counted(spent->batches, "batch") +
                                   " at the server: --batch goes on with them, `tracer job cancel` ends them"));
  auto out = job::OutputFile::resume(output, *checkpoints, *open_row);
  if (!out.ok()) return fail(console, out.status());
  const Status dropped = store.drop_checkpoints_after(out->rows());
  if (!dropped.ok()) return fail(console, dropped);
  first_row_ = out->rows();
  if (first_row_ > 0 || spent->attempts > 0)
    console.note("going on with " + job_path() + ": " + counted(first_row_, "row") + " written, " +
                 std::to_string(spent->answered) + " answered by the LLM, " + std::to_string(spent->pending) +
                 " texts to ask");
  reader.skip(first_row_);
  auto http = http::HttpClient::create(llm.http);
  if (!http.ok()) return fail(console, http.status());
  job::DispatchOptions dispatch = llm.dispatch;
  dispatch.seed = store.config()["audit_seed"].get<uint64_t>();
  job::Journal journal(std::move(store), std::move(out).value(), rows_->format(), {});
  job::Dispatcher dispatcher(dispatch, *llm.api, *llm.prompt, std::move(http).value(), journal, *spent);
  const Status worked = work(backend, loaded, reader, journal, dispatcher);
  if (worked.code() == ErrorCode::kInterrupted) {
    console.warn("stopped; what was answered is kept, --resume goes on");
    return exit_code_of_signal();
  }
  if (!worked.ok()) return fail(console, worked);
  if (dispatcher.stop_reason() == job::StopReason::kCancelled) {
    const Status kept = job::set_cancelled(journal.store(), job_path(), true);
    if (!kept.ok()) return fail(console, kept);
  }
  const int code = batches_follow_ ? kExitOk : report(loaded, reader, journal.store(), dispatcher);
  const Status closed = journal.store().close();
  return closed.ok() ? code : fail(console, closed);
}

// All is routed and written first, then come the batches, then the lines of what they answered.
int RunCommand::run_batches(Backend& backend, const LoadedPolicy& loaded, const Llm& llm) {
  const Console& console = common.console;
  bool routed = false;  // wholly, by an earlier run
  if (resume && fs::exists(job_path())) {
    auto store = open_job(config(loaded, llm));
    if (!store.ok()) return fail(console, store.status());
    auto rows = store->meta("rows");
    if (!rows.ok()) return fail(console, rows.status());
    routed = !rows->empty() && !retry_errors;
  }
  held_ = job::StopReason::kHeld;
  if (!routed) {
    batches_follow_ = true;
    const int code = pass(backend, loaded, llm);
    if (code != kExitOk) return code;
    batches_follow_ = false;
    resume = true;
    retry_errors = false;
  }
  BatchesEnd end;
  {
    auto store = open_job(config(loaded, llm));
    if (!store.ok()) return fail(console, store.status());
    const Status recovered = store->recover(false);
    if (!recovered.ok()) return fail(console, recovered);
    auto cancelled = job::is_cancelled(*store);
    if (!cancelled.ok()) return fail(console, cancelled.status());
    if (*cancelled) {
      end.why = job::StopReason::kCancelled;
    } else {
      auto sent = send_batches(console, *store, job_path(), llm, poll_seconds);
      if (!sent.ok()) return fail(console, sent.status());
      end = std::move(sent).value();
    }
    const Status closed = store->close();
    if (!closed.ok()) return fail(console, closed);
  }
  if (end.why == job::StopReason::kInterrupted) {
    console.warn("stopped; batches at the server go on, --resume takes in what they answer");
    return exit_code_of_signal();
  }
  held_ = end.why == job::StopReason::kNone ? job::StopReason::kHeld : end.why;
  held_message_ = end.said;
  return pass(backend, loaded, llm);
}

}  // namespace

void add_run(Flags& app, int& exit_code) {
  auto command = std::make_shared<RunCommand>();
  Flags* sub = app.add_subcommand("run", "answer every row: by the surrogate, or by the LLM where it is deferred");
  add_policy_options(*sub, command->policy);
  sub->add_option("IN", command->input.traces, "rows with their text: JSONL or CSV, plain or gzip")->required();
  add_input_options(*sub, command->input, false);
  sub->add_option("-o,--output", command->output, "output file; the job's state is kept beside it, in FILE.job");
  add_llm_options(*sub, command->llm_options);
  sub->add_option("--audit-rate", command->audit_rate,
                  "share of all rows, picked before the policy is asked, that go to the LLM as well")
      ->check(unit_interval())
      ->capture_default_str();
  sub->add_option("--audit-seed", command->audit_seed, "of the picks (default: random for each job)")
      ->check(not_negative());
  sub->add_flag("--resume", command->resume, "go on with the job of this output, if there is one");
  sub->add_flag("--retry-errors", command->retry_errors, "with --resume: ask again where the LLM gave no answer");
  sub->add_flag("--dry-run", command->dry_run, "price the job: nothing is sent, nothing written");
  sub->add_flag("--hold", command->hold,
                "route everything, send nothing: what the LLM is asked waits for `tracer job batch-export`");
  sub->add_flag(
      "--batch", command->batch,
      "ask through the server's batch API (cheaper, within a day): submit, poll, take in, ask again what failed");
  sub->add_option("--poll-seconds", command->poll_seconds, "with --batch: between two looks at the batches")
      ->check(in_range(0.01, 86'400.0))
      ->capture_default_str();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
