#include "host/cli/job_partial.h"

#include <algorithm>

#include "host/cli/flags.h"
#include "host/cli/job_config.h"
#include "host/cli/job_report.h"
#include "host/cli/job_rows.h"
#include "host/cli/shared_flags.h"
#include "host/io/json_fields.h"
#include "host/io/output_stream.h"
#include "host/job/output_file.h"
#include "host/job/store.h"
#include "host/route/batch_reader.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer::cli {
namespace {

struct Counts {
  int64_t lines = 0;
  int64_t open = 0;  // rows without an answer
};

// The lines of one batch whose first row is `at`. What the LLM was asked is in the job, all else is computed again.
Status write_batch(job::Store& store, const JobRows& job_rows, ScoredBatch& scored, int64_t at, io::OutputStream& out,
                   Counts& counts) {
  std::vector<RowBatch::Row>& rows = scored.batch.rows;
  TRACER_ASSIGN_OR_RETURN(auto entries, store.entries(at, at + static_cast<int64_t>(rows.size())));
  job::Store::Entry entry;
  auto more = entries.next(entry);
  for (size_t i = 0; i < rows.size(); ++i, ++at) {
    if (!more.ok()) return more.status();
    const job::RoutedRow row = job_rows.route(rows[i], scored.scores[i], at);
    const bool asked = *more && entry.row.row == at;
    if (asked != row.deferred.has_value()) return store.another_row(at);
    if (!asked) {
      ++counts.lines;
      TRACER_RETURN_IF_ERROR(out.write_line(row.line));
      continue;
    }
    if (entry.row.input != row.deferred->input || entry.row.reason != row.deferred->reason ||
        entry.row.handled != row.deferred->handled)
      return store.another_row(at);
    if (entry.result.state == job::AskState::kPending) {
      ++counts.open;
    } else {
      ++counts.lines;
      TRACER_RETURN_IF_ERROR(
          out.write_line(job_rows.format().asked(entry.row, entry.result, entry.first_row == at, "")));
    }
    more = entries.next(entry);
  }
  return more.status();
}

// What `--resume` would keep of the output.
Result<job::Checkpoint> prefix_of(job::Store& store, const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto checkpoints, store.checkpoints());
  TRACER_ASSIGN_OR_RETURN(auto open_row, store.first_open_row());
  return job::OutputFile::confirmed(path, checkpoints, open_row);
}

}  // namespace

Flag* add_partial_options(Flags& app, PartialOptions& o, Flag* input) {
  Flag* partial = app.add_flag(
      "--partial", o.wanted,
      "instead of traces, the lines that the output lacks so far and that rows without an answer hold back");
  Flag* policy = app.add_option("--policy", o.policy, "with --partial: the run's DIR")->needs(partial);
  Flag* vectors = app.add_option("--embeddings", o.input.embeddings, "with --partial: as for the run")->needs(partial);
  app.add_option("--embed-model", o.input.encoder, "with --partial: as for the run")->needs(partial)->excludes(vectors);
  add_embed_options(app, o.input.embed);
  return partial->needs(policy, input);
}

int export_partial(const Common& common, const std::string& job, const std::string& output, PartialOptions options) {
  const Console& console = common.console;
  if (console.json && output == "-")
    return usage_error(console, "--json and -o - both want standard output; give -o a file");
  auto store = job::Store::open_to_read(job);
  if (!store.ok()) return fail(console, store.status());
  const std::string whole = job.substr(0, job.size() - std::string(".job").size());
  auto prefix = prefix_of(*store, whole);
  if (!prefix.ok()) return fail(console, prefix.status());

  double alpha = 0, audit_rate = 0;
  int64_t audit_seed = 0;
  RowSource& in = options.input;
  JsonFields config(store->config(), job + ": config");
  config.number("alpha", alpha, 0, 1);
  config.number("audit_rate", audit_rate, 0, 1);
  config.count("audit_seed", audit_seed);
  config.text("input_key", in.input_key);
  config.text("format", in.format);
  if (!config.status().ok()) return fail(console, config.status());
  in.max_bad_ratio = 1;  // the run says how many it bears

  auto vectors = vectors_path(in);
  if (!vectors.ok()) return fail(console, vectors.status());
  const Status clash = check_outputs(
      {{option("output"), output}},
      {{"the output", whole}, {"the job", job}, {option("input"), in.traces}, {option("embeddings"), *vectors}},
      options.policy);
  if (!clash.ok()) return fail(console, clash);
  auto loaded = load_policy({options.policy, alpha}, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  const std::string differs = difference(rows_config(*loaded, in), store->config());
  if (!differs.empty()) return fail(console, bad_input(job + ": not the same job: " + differs));
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto source = open_vectors(*vectors, in, *loaded, **backend, events_of(console));
  if (!source.ok()) return fail(console, source.status());
  auto reader = BatchReader::open(in, false, true, loaded->artifact.policy.dimension, "", *source, events_of(console));
  if (!reader.ok()) return fail(console, reader.status());
  const int64_t end = std::max(store->routed(), prefix->rows);
  reader->only(prefix->rows, end - prefix->rows);

  auto out = io::OutputStream::open(output);
  if (!out.ok()) return fail(console, out.status());
  const JobRows job_rows(*loaded, audit_rate, static_cast<uint64_t>(audit_seed), is_priced(store->config()));
  Counts counts;
  int64_t at = prefix->rows;
  const Status scored = score_all(**backend, *loaded, *reader, [&](ScoredBatch& batch) {
    const Status written = write_batch(*store, job_rows, batch, at, *out, counts);
    at += static_cast<int64_t>(batch.batch.rows.size());
    return written;
  });
  const Status closed = out->close();
  if (!scored.ok()) return fail(console, scored);
  if (!closed.ok()) return fail(console, closed);
  if (at < end)
    return fail(console, bad_input(in.traces + ": has " + counted(at, "row") + ", and the job has routed " +
                                   std::to_string(end)));
  console.note(counted(counts.lines, "line") + ", to follow the first " + std::to_string(prefix->rows) + " (" +
               counted(prefix->bytes, "byte") + ") of " + whole + "; " + counted(counts.open, "row") +
               " without an answer left out");
  if (!console.json) return kExitOk;
  return console.print_json({{"prefix_rows", prefix->rows},
                             {"prefix_bytes", prefix->bytes},
                             {"lines", counts.lines},
                             {"without_answer", counts.open}},
                            kExitOk);
}

}  // namespace tracer::cli
