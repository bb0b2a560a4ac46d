#include <filesystem>

#include "host/cli/command.h"
#include "host/cli/job_report.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"
#include "host/job/store.h"

namespace tracer::cli {
namespace {

struct JobOptions {
  Common common;
  std::string job;  // the output or its .job
  std::string output;
  bool traces = false;
};

std::string path_of(const std::string& given) {
  const std::string end = ".job";
  const bool named = given.size() > end.size() && given.compare(given.size() - end.size(), end.size(), end) == 0;
  return named ? given : given + end;
}

int status(const JobOptions& options) {
  const Console& console = options.common.console;
  auto store = job::Store::open_to_read(path_of(options.job));
  if (!store.ok()) return fail(console, store.status());
  auto figures = job_json(*store);
  if (!figures.ok()) return fail(console, figures.status());
  if (console.json) return console.print_json(*figures, kExitOk);
  auto ledger = store->ledger();
  if (!ledger.ok()) return fail(console, ledger.status());
  const Json& f = *figures;
  std::string text = std::string(store->finished() ? "finished" : "not finished") + ": " +
                     counted(store->routed(), "row") + " routed, " + std::to_string(ledger->rows_deferred) +
                     " deferred, " + std::to_string(ledger->rows_audited) + " audited\n";
  text += counted(ledger->asks, "text") + " for the LLM: " + std::to_string(ledger->answered) + " answered, " +
          std::to_string(ledger->failed) + " failed, " + std::to_string(ledger->pending) + " to ask\n";
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
  auto store = job::Store::open_to_read(path_of(options.job));
  if (!store.ok()) return fail(console, store.status());
  const Json& config = store->config();
  std::vector<std::string> labels;
  for (const Json& label : config.at("labels")) labels.push_back(io::json_string(label.get<std::string>()));
  const std::string policy = io::json_string(config.at("policy").get<std::string>());
  const std::string job_id = config.at("job_id").get<std::string>();
  auto entries = store->entries(0);
  if (!entries.ok()) return fail(console, entries.status());
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
      return fail(console, bad_input(path_of(options.job) + ": damaged: a label that the job has not got"));
    const Status line = out->write_line("{\"id\":" + e.row.id + ",\"input\":" + io::json_string(e.row.input) +
                                        ",\"teacher\":" + (answered ? labels[label] : "null") + ",\"provenance\":\"" +
                                        (audit ? "audit" : "deferred") + "\",\"occurrence\":\"" + job_id + ":" +
                                        std::to_string(e.row.row) + "\",\"policy\":" + policy + "}");
    if (!line.ok()) return fail(console, line);
    ++written;
  }
  const Status closed = out->close();
  if (!closed.ok()) return fail(console, closed);
  console.note(counted(written, "trace") + (open > 0 ? ", " + counted(open, "row") + " without an answer" : ""));
  return kExitOk;
}

}  // namespace

void add_job(CLI::App& app, int& exit_code) {
  CLI::App* sub = app.add_subcommand("job", "the state of a `tracer run`");
  sub->require_subcommand(1);
  auto options = std::make_shared<JobOptions>();
  CLI::App* show = sub->add_subcommand("status", "how far it is, and what it cost");
  show->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  add_common(*show, options->common, false);
  show->callback([options, &exit_code] { exit_code = status(*options); });
  CLI::App* out = sub->add_subcommand("export", "the LLM's answers as traces, with their provenance");
  out->add_option("JOB", options->job, "the output of the run, or its .job file")->required();
  out->add_option("-o,--output", options->output, "traces (JSONL); - for standard output")->required();
  add_common(*out, options->common, false);
  out->callback([options, &exit_code] { exit_code = export_traces(*options); });
}

}  // namespace tracer::cli
