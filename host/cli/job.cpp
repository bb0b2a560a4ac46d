#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/job_cancel.h"
#include "host/cli/job_partial.h"
#include "host/cli/job_report.h"
#include "host/cli/job_vectors.h"
#include "host/cli/llm_options.h"
#include "host/encoder/source.h"
#include "host/io/clock.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"
#include "host/job/batch_files.h"
#include "host/job/store.h"

namespace tracer::cli {
namespace {

struct JobOptions {
  Common common;
  std::string job;  // the output or its .job
  std::string output;
  std::vector<std::string> results;  // files of a batch API
  std::string input;                 // the run's IN
  PartialOptions partial;
  JobVectorOptions vectors;
};

int status(const JobOptions& options) {
  const Console& console = options.common.console;
  auto store = job::Store::open_to_read(job_path_of(options.job));
  if (!store.ok()) return fail(console, store.status());
  auto ledger = store->ledger();
  if (!ledger.ok()) return fail(console, ledger.status());
  auto figures = job_json(*store, *ledger);
  if (!figures.ok()) return fail(console, figures.status());
  if (console.json) return console.print_json(*figures, kExitOk);
  const Json& f = *figures;
  const bool cancelled = f["cancelled"].get<bool>();
  std::string text = std::string(cancelled           ? "cancelled"
                                 : store->finished() ? "finished"
                                                     : "not finished") +
                     ": " + counted(store->routed(), "row") + " routed, " + std::to_string(ledger->rows_deferred) +
                     " deferred, " + std::to_string(ledger->rows_audited) + " audited\n";
  text += counted(ledger->asks, "text") + " for the LLM: " + std::to_string(ledger->answered) + " answered, " +
          std::to_string(ledger->failed) + " failed, " + std::to_string(ledger->pending) + " to ask";
  if (ledger->batches > 0)
    text += ", " + std::to_string(ledger->in_batches) + " of them in " + counted(ledger->batches, "batch") +
            " at the server";
  text += "\n";
  text += spent_text(*ledger, is_priced(store->config())) + "; " + std::to_string(ledger->retries) + " retries, " +
          std::to_string(ledger->corrections) + " corrections, " + std::to_string(ledger->lost) + " lost in a crash\n";
  text += "lines: " + std::to_string(f["sources"]["surrogate"].get<int64_t>()) + " surrogate, " +
          std::to_string(f["sources"]["llm"].get<int64_t>()) + " llm, " +
          std::to_string(f["sources"]["cache"].get<int64_t>()) + " cache, " +
          std::to_string(f["sources"]["error"].get<int64_t>()) + " without an answer\n";
  return console.print(text) ? kExitOk : kExitRuntime;
}

// One trace for each row that went to the LLM, with where it came from (docs/dispatch.md): what `tracer update` learns
// from.
int export_traces(const JobOptions& options) {
  const Console& console = options.common.console;
  if (!options.input.empty() && options.vectors.vectors.empty())
    return usage_error(console, "--input goes with --partial or --vectors");
  std::string npy;
  if (!options.vectors.vectors.empty()) {
    if (!makes_regular_file(options.output))
      return usage_error(console, "--vectors puts vectors beside the traces: -o must be a file");
    npy = vectors_beside(options.output);
  }
  const Status clash = check_outputs({{option("output"), options.output}, {"the vectors of -o", npy}},
                                     {{"JOB", job_path_of(options.job)},
                                      {option("vectors"), options.vectors.vectors},
                                      {option("input"), options.vectors.input}},
                                     "");
  if (!clash.ok()) return fail(console, clash);
  auto store = job::Store::open_to_read(job_path_of(options.job));
  if (!store.ok()) return fail(console, store.status());
  const Json& config = store->config();
  std::vector<std::string> labels;
  for (const Json& label : config.at("labels")) labels.push_back(io::json_string(label.get<std::string>()));
  const std::string policy = io::json_string(config.at("policy").get<std::string>());
  const std::string job_id = config.at("job_id").get<std::string>();
  auto entries = store->entries();
  if (!entries.ok()) return fail(console, entries.status());
  std::optional<JobVectors> vectors;
  if (!npy.empty()) {
    auto opened = JobVectors::open(options.vectors, *store, npy);
    if (!opened.ok()) return fail(console, opened.status());
    vectors.emplace(std::move(opened).value());
  }
  auto out = io::OutputStream::open(options.output);
  if (!out.ok()) return fail(console, out.status());
  job::Store::Entry e;
  int64_t written = 0, open = 0;
  while (true) {
    auto more = entries->next(e);
    if (!more.ok()) return fail(console, more.status());
    if (!*more) break;
    const bool answered = e.result.state == job::AskState::kAnswered;
    const bool audit = e.row.reason == "audit";
    // An audit pick without an answer counts, as a disagreement; once it may still be answered, it does not count yet.
    if (e.result.state == job::AskState::kPending || (!answered && !audit)) {
      ++open;
      continue;
    }
    const auto label = answered ? static_cast<size_t>(e.result.label) : labels.size();
    if (answered && label >= labels.size())
      return fail(console, bad_input(job_path_of(options.job) + ": damaged: a label that the job has not got"));
    const Status line = out->write_line("{\"id\":" + e.row.id + ",\"input\":" + io::json_string(e.row.input) +
                                        ",\"teacher\":" + (answered ? labels[label] : "null") + ",\"provenance\":\"" +
                                        (audit ? "audit" : "deferred") + "\",\"occurrence\":\"" + job_id + ":" +
                                        std::to_string(e.row.row) + "\",\"policy\":" + policy + "}");
    const Status vector = line.ok() && vectors ? vectors->add(e.row) : line;
    if (!vector.ok()) return fail(console, vector);
    ++written;
  }
  Status closed = out->close();
  if (closed.ok() && vectors) closed = vectors->commit();
  if (!closed.ok()) return fail(console, closed);
  console.note(counted(written, "trace") + (open > 0 ? ", " + counted(open, "row") + " without an answer" : ""));
  return kExitOk;
}

int batch_export(const JobOptions& options) {
  const Console& console = options.common.console;
  const std::string path = job_path_of(options.job);
  const Status clash = check_outputs({{option("output"), options.output}}, {{"JOB", path}}, "");
  if (!clash.ok()) return fail(console, clash);
  auto store = job::Store::open_to_read(path);
  if (!store.ok()) return fail(console, store.status());
  auto llm = llm_of_job(store->config(), path, nullptr);
  if (!llm.ok()) return fail(console, llm.status());
  auto out =
      job::write_batch(*store, *llm->api, *llm->prompt, {.structured = llm->dispatch.structured}, options.output);
  if (!out.ok()) return fail(console, out.status());
  if (console.json) return console.print_json({{"requests", out->requests}, {"files", out->files}}, kExitOk);
  std::string text = counted(out->requests, "request");
  for (const std::string& file : out->files) text += "\n" + file;
  return console.print(text + "\n") ? kExitOk : kExitRuntime;
}

int batch_import(const JobOptions& options) {
  const Console& console = options.common.console;
  const std::string path = job_path_of(options.job);
  auto store = job::Store::open(path);
  if (!store.ok()) return fail(console, store.status());
  auto llm = llm_of_job(store->config(), path, nullptr);
  if (!llm.ok()) return fail(console, llm.status());
  job::BatchIn all;
  for (const std::string& file : options.results) {
    auto in = job::read_batch(*store, *llm->api, llm->dispatch.price, file, io::now_seconds());
    if (!in.ok()) return fail(console, in.status());
    all += *in;
  }
  const Status closed = store->close();
  if (!closed.ok()) return fail(console, closed);
  if (console.json)
    return console.print_json({{"lines", all.lines},
                               {"answered", all.answered},
                               {"unparsed", all.unparsed},
                               {"failed", all.failed},
                               {"again", all.again},
                               {"settled_before", all.settled}},
                              kExitOk);
  const std::string text = counted(all.lines, "line") + ": " + std::to_string(all.answered) + " answered, " +
                           std::to_string(all.failed) + " failed for good, " +
                           std::to_string(all.unparsed + all.again) + " to ask again, " + std::to_string(all.settled) +
                           " settled before; `tracer run ... --resume` writes the output\n";
  return console.print(text) ? kExitOk : kExitRuntime;
}

}  // namespace

void add_job(Flags& app, int& exit_code) {
  Flags* sub = app.add_subcommand("job", "the state of a `tracer run`");
  sub->require_subcommand();
  auto options = std::make_shared<JobOptions>();
  Flags* show = sub->add_subcommand("status", "how far it is, and what it cost");
  show->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  add_common(*show, options->common, false);
  show->callback([options, &exit_code] { exit_code = status(*options); });
  Flags* out = sub->add_subcommand("export", "the LLM's answers as traces, with their provenance; or --partial");
  out->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  out->add_option("-o,--output", options->output, "traces, or lines of the output (JSONL); - for standard output")
      ->required();
  Flag* input = out->add_option("--input", options->input,
                                "the run's IN: for --partial, and for --vectors where rows of it could not be read");
  Flag* partial = add_partial_options(*out, options->partial, input);
  add_job_vector_options(*out, options->vectors)->excludes(partial);
  add_common(*out, options->common, true);
  out->callback([options, &exit_code] {
    options->vectors.input = options->partial.input.traces = options->input;
    exit_code = options->partial.wanted
                    ? export_partial(options->common, job_path_of(options->job), options->output, options->partial)
                    : export_traces(*options);
  });
  add_job_cancel(*sub, exit_code);
  Flags* ask = sub->add_subcommand("batch-export", "what is still to be asked, as files for a batch API");
  ask->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  ask->add_option("-o,--output", options->output, "requests (JSONL); FILE.2 and so on where one cannot hold them")
      ->required();
  add_common(*ask, options->common, false);
  ask->callback([options, &exit_code] { exit_code = batch_export(*options); });
  Flags* take = sub->add_subcommand("batch-import", "takes in a batch API's files of results and errors");
  take->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  take->add_option("RESULTS", options->results, "files, in any order; each is taken in whole or not at all")
      ->required();
  add_common(*take, options->common, false);
  take->callback([options, &exit_code] { exit_code = batch_import(*options); });
}

}  // namespace tracer::cli
