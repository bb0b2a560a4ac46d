#include "host/job/partial.h"

#include <algorithm>
#include <string>

#include "host/io/file_uses.h"
#include "host/io/output_stream.h"
#include "host/io/plain_text.h"
#include "host/job/output_file.h"
#include "host/job/report.h"
#include "host/job/rows.h"
#include "host/job/store.h"
#include "host/route/batch_reader.h"
#include "host/route/scoring.h"

namespace tracer::job {
namespace {

// The lines of one batch whose first row is `at`. What the LLM was asked is in the job, all else is computed again.
Status write_lines(Store& store, const JobRows& job_rows, ScoredBatch& scored, int64_t at, io::OutputStream& out,
                   JobRest& counts) {
  std::vector<RowBatch::Row>& rows = scored.batch.rows;
  TRACER_ASSIGN_OR_RETURN(auto entries, store.entries(at, at + static_cast<int64_t>(rows.size())));
  Store::Entry entry;
  auto more = entries.next(entry);
  for (size_t i = 0; i < rows.size(); ++i, ++at) {
    if (!more.ok()) return more.status();
    const RoutedRow row = job_rows.route(rows[i], scored.scores[i], at);
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
    if (entry.result.state == AskState::kPending) {
      ++counts.without_answer;
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
Result<Checkpoint> prefix_of(Store& store, const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto checkpoints, store.checkpoints());
  TRACER_ASSIGN_OR_RETURN(auto open_row, store.first_open_row());
  return OutputFile::confirmed(path, checkpoints, open_row);
}

}  // namespace

Result<JobRest> export_partial(Backend& backend, const JobPartialRequest& request, const Events& events) {
  const std::string job = job_path_of(request.job);
  JobRest rest;
  rest.output = job.substr(0, job.size() - std::string(".job").size());
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open_to_read(job));
  TRACER_ASSIGN_OR_RETURN(const Checkpoint prefix, prefix_of(store, rest.output));
  rest.prefix_rows = prefix.rows, rest.prefix_bytes = prefix.bytes;

  const JobConfig& config = store.config();
  RowSource in = request.input;
  in.input_key = config.rows.input_key;
  in.format = config.rows.format;
  in.max_bad_ratio = 1;  // the run says how many it bears
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(in));
  TRACER_RETURN_IF_ERROR(check_outputs(
      {{option("output"), request.output}},
      {{"the output", rest.output}, {"the job", job}, {option("input"), in.traces}, {option("embeddings"), vectors}},
      request.policy));
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy({request.policy, config.rows.alpha}, events));
  const std::string differs = difference(rows_config(loaded, in), config.rows);
  if (!differs.empty()) return bad_input(job + ": not the same job: " + differs);
  TRACER_ASSIGN_OR_RETURN(const VectorSource source, open_vectors(vectors, in, loaded, backend, events));
  TRACER_ASSIGN_OR_RETURN(BatchReader reader,
                          BatchReader::open(in, false, true, loaded.artifact.policy.dimension, "", source, events));
  const int64_t end = std::max(store.routed(), prefix.rows);
  reader.only(prefix.rows, end - prefix.rows);

  TRACER_ASSIGN_OR_RETURN(io::OutputStream out, io::OutputStream::open(request.output));
  const JobRows job_rows(loaded, config.audit_rate, config.audit_seed, is_priced(config));
  int64_t at = prefix.rows;
  const Status scored = score_all(backend, loaded, reader, [&](ScoredBatch& batch) {
    const Status written = write_lines(store, job_rows, batch, at, out, rest);
    at += static_cast<int64_t>(batch.batch.rows.size());
    return written;
  });
  const Status closed = out.close();
  TRACER_RETURN_IF_ERROR(scored);
  TRACER_RETURN_IF_ERROR(closed);
  if (at < end)
    return bad_input(in.traces + ": has " + counted(at, "row") + ", and the job has routed " + std::to_string(end));
  return rest;
}

}  // namespace tracer::job
