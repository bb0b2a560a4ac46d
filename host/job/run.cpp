#include "host/job/run.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host/io/file.h"
#include "host/io/file_uses.h"
#include "host/io/plain_text.h"
#include "host/job/cancel.h"
#include "host/job/dispatcher.h"
#include "host/job/journal.h"
#include "host/job/llm.h"
#include "host/job/report.h"
#include "host/job/rows.h"
#include "host/job/send_batches.h"
#include "host/job/store.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer::job {
namespace {

namespace fs = std::filesystem;

Status interrupted() { return {ErrorCode::kInterrupted, "stopped"}; }

std::string job_path(const JobRequest& request) { return request.output + ".job"; }
std::string rejects_path(const JobRequest& request) {
  return request.input.rejects.empty() ? request.output + ".rejects.jsonl" : request.input.rejects;
}

Status check_files(const JobRequest& r, const std::string& vectors) {
  if (r.output.empty()) return bad_option("output", option("output") + " is missing: the file of the answers");
  if (r.output == "-" || !makes_regular_file(r.output))
    return bad_option("output", option("output") + " must be a regular file: a job that goes on reads what it wrote");
  return check_outputs({{option("output"), r.output},
                        {option("rejects"), rejects_path(r)},
                        {"the summary of " + option("output") + ",", r.output + ".meta.json"},
                        {"the job of " + option("output") + ",", job_path(r)},
                        {option("embed_cache"), r.input.embed.cache}},
                       {{"IN", r.input.traces},
                        {option("embeddings"), vectors},
                        {option("prompt"), r.llm.prompt},
                        {option("prices"), r.llm.prices},
                        {option("llm_key_file"), r.llm.server.key_file},
                        {option("embed_key_file"), r.input.embed.key_file}},
                       r.policy.folder);
}

// Threads of a job share the caller's events: one call at a time.
Events in_turn(const Events& events) {
  const auto turn = std::make_shared<std::mutex>();
  Events out = events;
  out.note = [turn, tell = events.note](std::string_view line) {
    const std::lock_guard<std::mutex> lock(*turn);
    if (tell) tell(line);
  };
  out.warn = [turn, caution = events.warn](std::string_view line) {
    const std::lock_guard<std::mutex> lock(*turn);
    if (caution) caution(line);
  };
  out.progress = [turn, advance = events.progress](const Progress& at) {
    const std::lock_guard<std::mutex> lock(*turn);
    if (advance) advance(at);
  };
  return out;
}

// A new job's configuration. Which rows are audited must not be foreseen by who sends them.
JobConfig drawn(JobConfig config, const std::optional<int64_t>& audit_seed) {
  std::random_device device;
  char id[17];
  std::snprintf(id, sizeof id, "%08x%08x", device(), device());
  config.job_id = id;
  config.audit_seed = audit_seed ? *audit_seed : static_cast<int64_t>(uint64_t{device() >> 1} << 32 | device());
  return config;
}

JobOutcome outcome_of(StopReason stopped, const JobFigures& figures, int64_t bad_rows) {
  const bool partial = figures.without_answer > 0 || bad_rows > 0;
  switch (stopped) {
    case StopReason::kNone:
    case StopReason::kInterrupted:
      break;
    case StopReason::kHeld:
    case StopReason::kCancelled:
      return partial || figures.pending > 0 ? JobOutcome::kPartial : JobOutcome::kComplete;
    case StopReason::kCost:
    case StopReason::kRequests:
    case StopReason::kDeadline:
    case StopReason::kQuota:
      return JobOutcome::kBudget;
    case StopReason::kUnauthorized:
    case StopReason::kRefused:
    case StopReason::kUnavailable:
      return JobOutcome::kUnserved;
  }
  return partial ? JobOutcome::kPartial : JobOutcome::kComplete;
}

// Why a pass sends nothing, and what the server said.
struct Held {
  StopReason why = StopReason::kHeld;
  std::string said;
};

class Run {
 public:
  // All must outlive it.
  Run(const JobRequest& request, Backend& backend, const LoadedPolicy& loaded, const Llm& llm, const Events& events)
      : request_(request),
        path_(job_path(request)),
        backend_(backend),
        loaded_(loaded),
        llm_(llm),
        events_(in_turn(events)),
        resume_(request.resume),
        retry_errors_(request.retry_errors) {}

  // Once through the input: what the output has not got is routed, asked for (unless held), and written.
  Result<JobEnd> pass(std::optional<Held> held);
  // All is routed and written first, then come the batches, then the lines of what they answered.
  Result<JobEnd> with_batches();

 private:
  JobConfig config() const;
  Result<Store> open_store() const;
  Result<bool> is_routed() const;
  Result<BatchesEnd> batches() const;
  Result<JobEnd> work_on(Store store, BatchReader& reader, const std::optional<Held>& held);
  Status work(BatchReader& reader, Journal& journal, Dispatcher& dispatcher);
  Status route(BatchReader& reader, Journal& journal);
  Result<JobEnd> report(const BatchReader& reader, Store& store, StopReason stopped, const std::string& said) const;
  void tell(const JobEnd& end, StopReason stopped, const BatchReader& reader) const;
  void show_progress(const Journal& journal, const Dispatcher& dispatcher);

  const JobRequest& request_;
  const std::string path_;
  Backend& backend_;
  const LoadedPolicy& loaded_;
  const Llm& llm_;
  const Events events_;
  bool resume_, retry_errors_;
  bool reports_ = true;  // the pass at hand is the last
  std::optional<JobRows> rows_;
  int64_t first_row_ = 0;  // of the pass at hand
  std::chrono::steady_clock::time_point shown_at_ = std::chrono::steady_clock::now();
};

JobConfig Run::config() const {
  JobConfig config;
  config.rows = rows_config(loaded_, request_.input);
  config.audit_rate = request_.audit_rate;
  config.llm = llm_.config;
  return config;
}

Result<Store> Run::open_store() const {
  std::error_code ec;
  bool there = fs::exists(path_, ec);
  if (there && !resume_)
    return bad_input(path_ + ": there is a job of this output already: " + option("resume") +
                     " goes on with it; to begin anew, remove " + path_ + " (its paid answers are in it)");
  if (there) {
    TRACER_ASSIGN_OR_RETURN(const bool unborn, Store::remove_unborn(path_));
    there = !unborn;
  }
  if (!there) return Store::create(path_, drawn(config(), request_.audit_seed));
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open(path_));
  const std::string differs = difference(config(), store.config());
  if (!differs.empty()) return bad_input(path_ + ": not the same job: " + differs);
  return store;
}

Status Run::route(BatchReader& reader, Journal& journal) {
  int64_t at = first_row_;
  const Status routed = score_all(backend_, loaded_, reader, [&](ScoredBatch& scored) -> Status {
    std::vector<RoutedRow> rows(scored.batch.rows.size());
    for (size_t i = 0; i < rows.size(); ++i, ++at) rows[i] = rows_->route(scored.batch.rows[i], scored.scores[i], at);
    while (true) {
      if (events_.stop_wanted()) return interrupted();
      TRACER_ASSIGN_OR_RETURN(const bool taken, journal.add(rows));
      if (taken) return {};
    }
  });
  TRACER_RETURN_IF_ERROR(routed);
  return journal.routing_done();
}

void Run::show_progress(const Journal& journal, const Dispatcher& dispatcher) {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_at_ < std::chrono::seconds(10)) return;
  shown_at_ = now;
  const JournalCounts c = journal.counts();
  const DispatchCounts d = dispatcher.counts();
  std::string line = counted(first_row_ + c.routed, "row") + " routed, " + std::to_string(first_row_ + c.written) +
                     " written; LLM: " + std::to_string(d.answered) + " answered, " + std::to_string(d.failed) +
                     " failed, " + std::to_string(d.in_flight) + " in flight of " + std::to_string(d.limit);
  if (d.retried > 0) line += ", " + counted(d.retried, "retry");
  if (d.cost > 0) line += ", " + number(llm::dollars(d.cost)) + " USD";
  if (d.waiting) line += "; waiting for the server";
  events_.tell(line);
}

// Routes and dispatches until all is written, or the caller, an error or a spent budget ends it. What has been answered
// is stored in every case.
Status Run::work(BatchReader& reader, Journal& journal, Dispatcher& dispatcher) {
  journal.start([&](std::vector<PendingAsk> asks, bool end) { dispatcher.deliver(std::move(asks), end); },
                [&](int64_t attempts) { dispatcher.kept(attempts); });
  std::atomic<bool> dispatched{false};
  std::thread dispatching([&] {
    dispatcher.run();
    dispatched.store(true);
  });
  std::atomic<bool> watching{true};
  std::thread watcher([&] {  // routing may be busy, or wait: a stop and progress have a thread of their own
    while (watching.load()) {
      if (events_.stop_wanted()) dispatcher.stop(events_.abandon_wanted());
      if (cancel_requested(path_)) dispatcher.cancel();
      show_progress(journal, dispatcher);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const Status routed = route(reader, journal);
  if (!routed.ok()) dispatcher.stop(false);
  while (!dispatched.load() && !journal.wait(50)) {
  }
  dispatching.join();
  if (!routed.ok() || events_.stop_wanted()) journal.stop();
  const Status joined = journal.join();
  watching.store(false);
  watcher.join();
  TRACER_RETURN_IF_ERROR(joined);
  if (events_.stop_wanted()) return interrupted();
  return routed;
}

// What people are told at the end.
void Run::tell(const JobEnd& end, StopReason stopped, const BatchReader& reader) const {
  std::string summary = text_of(end);
  summary.pop_back();
  events_.tell(summary);
  if (end.bad_rows > 0)
    events_.caution(counted(end.bad_rows, "row") + " could not be read, without a line in the output; first, " +
                    reader.rejects().first() + "; all of them in " + reader.rejects().path());
  const std::string pending = counted(end.figures.pending, "text");
  if (stopped == StopReason::kHeld)
    events_.tell(pending + " wait for the LLM: `tracer job batch-export`, or " + option("resume") + " without " +
                 option("hold"));
  else if (stopped == StopReason::kCancelled)
    events_.caution("cancelled: " + pending + " not answered, and nothing more is asked; " + option("resume") + " " +
                    option("retry_errors") + " takes the job up again");
  else if (stopped == StopReason::kNone && end.figures.without_answer > 0)
    events_.caution(counted(end.figures.without_answer, "row") + " without an answer, each line says why; " +
                    option("resume") + " " + option("retry_errors") + " asks again");
}

Result<JobEnd> Run::report(const BatchReader& reader, Store& store, StopReason stopped, const std::string& said) const {
  JobEnd end;
  TRACER_ASSIGN_OR_RETURN(end.figures, figures_of(store));
  if (stopped == StopReason::kHeld && end.figures.pending == 0) stopped = StopReason::kNone;
  end.bad_rows = reader.rejects().count();
  end.outcome = outcome_of(stopped, end.figures, end.bad_rows);
  end.policy = loaded_.artifact.digest;
  end.alpha = loaded_.certificate.alpha;
  end.threshold = loaded_.certificate.threshold;
  if (!loaded_.warning.empty()) end.warnings.push_back(loaded_.warning);
  end.stopped = to_string(stopped);
  if (end.outcome == JobOutcome::kBudget || end.outcome == JobOutcome::kUnserved)
    end.problem = "nothing more was sent: " + end.stopped + (said.empty() ? "" : " (" + said + ")") + "; " +
                  counted(end.figures.pending, "text") + " not answered; " + option("resume") + " goes on";
  if (makes_regular_file(request_.output))
    TRACER_RETURN_IF_ERROR(io::write_file_atomic(request_.output + ".meta.json", json_of(end)));
  tell(end, stopped, reader);
  return end;
}

Result<JobEnd> Run::pass(std::optional<Held> held) {
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(request_.input));
  TRACER_ASSIGN_OR_RETURN(const VectorSource source, open_vectors(vectors, request_.input, loaded_, backend_, events_));
  TRACER_ASSIGN_OR_RETURN(BatchReader reader,
                          BatchReader::open(request_.input, false, true, loaded_.artifact.policy.dimension,
                                            rejects_path(request_), source, events_));
  TRACER_ASSIGN_OR_RETURN(Store store, open_store());
  const JobConfig& config = store.config();
  rows_.emplace(loaded_, config.audit_rate, config.audit_seed, is_priced(config));
  TRACER_RETURN_IF_ERROR(store.recover(retry_errors_));
  TRACER_ASSIGN_OR_RETURN(const bool cancelled, is_cancelled(store));
  if (cancelled && retry_errors_) {
    TRACER_RETURN_IF_ERROR(set_cancelled(store, path_, false));
  } else if (cancelled) {
    held = Held{StopReason::kCancelled, held ? held->said : ""};
  }
  return work_on(std::move(store), reader, held);
}

Result<JobEnd> Run::work_on(Store store, BatchReader& reader, const std::optional<Held>& held) {
  TRACER_ASSIGN_OR_RETURN(const int64_t open_row, store.first_open_row());
  TRACER_ASSIGN_OR_RETURN(const auto checkpoints, store.checkpoints());
  TRACER_ASSIGN_OR_RETURN(const Ledger spent, store.ledger());
  if (spent.batches > 0 && !held)
    return bad_input(path_ + ": " + counted(spent.in_batches, "text") + " in " + counted(spent.batches, "batch") +
                     " at the server: " + option("batch") + " goes on with them, `tracer job cancel` ends them");
  TRACER_ASSIGN_OR_RETURN(OutputFile out, OutputFile::resume(request_.output, checkpoints, open_row));
  TRACER_RETURN_IF_ERROR(store.drop_checkpoints_after(out.rows()));
  first_row_ = out.rows();
  if (first_row_ > 0 || spent.attempts > 0)
    events_.tell("going on with " + path_ + ": " + counted(first_row_, "row") + " written, " +
                 std::to_string(spent.answered) + " answered by the LLM, " + std::to_string(spent.pending) +
                 " texts to ask");
  reader.skip(first_row_);
  TRACER_ASSIGN_OR_RETURN(auto http, http::HttpClient::create(llm_.http));
  DispatchOptions dispatch = llm_.dispatch;
  dispatch.seed = static_cast<uint64_t>(store.config().audit_seed);
  Journal journal(std::move(store), std::move(out), rows_->format(), {});
  Dispatcher dispatcher(dispatch, *llm_.api, *llm_.prompt, std::move(http), journal, spent);
  if (held) dispatcher.hold(held->why);
  const Status worked = work(reader, journal, dispatcher);
  if (worked.code() == ErrorCode::kInterrupted)
    events_.caution("stopped; what was answered is kept, " + option("resume") + " goes on");
  TRACER_RETURN_IF_ERROR(worked);
  const StopReason stopped = dispatcher.stop_reason();
  if (stopped == StopReason::kCancelled) TRACER_RETURN_IF_ERROR(set_cancelled(journal.store(), path_, true));
  Result<JobEnd> end = JobEnd{};
  if (reports_) end = report(reader, journal.store(), stopped, held ? held->said : dispatcher.stop_message());
  if (!end.ok()) return end;
  TRACER_RETURN_IF_ERROR(journal.store().close());
  return end;
}

// Wholly, by an earlier run.
Result<bool> Run::is_routed() const {
  if (!resume_ || !fs::exists(path_)) return false;
  TRACER_ASSIGN_OR_RETURN(Store store, open_store());
  TRACER_ASSIGN_OR_RETURN(const std::string rows, store.meta("rows"));
  return !rows.empty() && !retry_errors_;
}

Result<BatchesEnd> Run::batches() const {
  TRACER_ASSIGN_OR_RETURN(Store store, open_store());
  TRACER_RETURN_IF_ERROR(store.recover(false));
  TRACER_ASSIGN_OR_RETURN(const bool cancelled, is_cancelled(store));
  BatchesEnd end;
  if (cancelled) {
    end.why = StopReason::kCancelled;
  } else {
    TRACER_ASSIGN_OR_RETURN(end, send_batches(store, path_, llm_, request_.poll_seconds, events_));
  }
  TRACER_RETURN_IF_ERROR(store.close());
  return end;
}

Result<JobEnd> Run::with_batches() {
  TRACER_ASSIGN_OR_RETURN(const bool routed, is_routed());
  if (!routed) {
    reports_ = false;
    TRACER_RETURN_IF_ERROR(pass(Held{}).status());
    reports_ = true;
    resume_ = true;
    retry_errors_ = false;
  }
  TRACER_ASSIGN_OR_RETURN(const BatchesEnd end, batches());
  if (end.why == StopReason::kInterrupted) {
    events_.caution("stopped; batches at the server go on, " + option("resume") + " takes in what they answer");
    return interrupted();
  }
  return pass(Held{end.why == StopReason::kNone ? StopReason::kHeld : end.why, end.said});
}

}  // namespace

Status check_request(const JobRequest& r) {
  if (r.input.traces == "-") return bad_option("input", "IN must be a file: a job that goes on reads it again");
  if (r.retry_errors && !r.resume)
    return bad_option("retry_errors", option("retry_errors") + " goes with " + option("resume"));
  if (r.batch && r.hold)
    return bad_option("batch", option("batch") + " sends what " + option("hold") + " keeps back: give one of them");
  return {};
}

Result<JobEnd> run(Backend& backend, const JobRequest& request, const Events& events) {
  TRACER_RETURN_IF_ERROR(check_request(request));
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(request.input));
  TRACER_RETURN_IF_ERROR(check_files(request, vectors));
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy(request.policy, events));
  TRACER_ASSIGN_OR_RETURN(const Llm llm,
                          make_llm(request.llm, loaded.artifact.policy.labels, !request.hold, request.batch));
  Run job(request, backend, loaded, llm, events);
  if (request.batch) return job.with_batches();
  return job.pass(request.hold ? std::optional<Held>(Held{}) : std::nullopt);
}

}  // namespace tracer::job
