#include "host/job/export.h"

#include <optional>
#include <vector>

#include "host/encoder/source.h"
#include "host/io/clock.h"
#include "host/io/file_uses.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"
#include "host/job/batch_files.h"
#include "host/job/llm.h"
#include "host/job/store.h"
#include "host/job/vectors.h"

namespace tracer::job {
namespace {

// What is the same in all traces of a job, as JSON.
struct TraceParts {
  std::vector<std::string> labels;
  std::string policy, job_id;

  explicit TraceParts(const JobConfig& config) : policy(io::json_string(config.rows.policy)), job_id(config.job_id) {
    for (const std::string& label : config.rows.labels) labels.push_back(io::json_string(label));
  }
  std::string line(const Store::Entry& e, const std::string& teacher) const {
    return "{\"id\":" + e.row.id + ",\"input\":" + io::json_string(e.row.input) + ",\"teacher\":" + teacher +
           ",\"provenance\":\"" + (e.row.reason == "audit" ? "audit" : "deferred") + "\",\"occurrence\":\"" + job_id +
           ":" + std::to_string(e.row.row) + "\",\"policy\":" + policy + "}";
  }
};

}  // namespace

Result<JobTraces> export_traces(const JobExportRequest& request) {
  const std::string path = job_path_of(request.job);
  if (!request.input.empty() && request.vectors.empty())
    return bad_option("input", option("input") + " goes with " + option("partial") + " or " + option("vectors"));
  std::string npy;
  if (!request.vectors.empty()) {
    if (!makes_regular_file(request.output))
      return bad_option("vectors",
                        option("vectors") + " puts vectors beside the traces: " + option("output") + " must be a file");
    npy = vectors_beside(request.output);
  }
  TRACER_RETURN_IF_ERROR(
      check_outputs({{option("output"), request.output}, {"the vectors of " + option("output"), npy}},
                    {{"JOB", path}, {option("vectors"), request.vectors}, {option("input"), request.input}}, ""));
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open_to_read(path));
  const TraceParts parts(store.config());
  TRACER_ASSIGN_OR_RETURN(Store::Reader entries, store.entries());
  std::optional<JobVectors> vectors;
  if (!npy.empty()) {
    TRACER_ASSIGN_OR_RETURN(JobVectors opened, JobVectors::open(request.vectors, request.input, store, npy));
    vectors.emplace(std::move(opened));
  }
  TRACER_ASSIGN_OR_RETURN(io::OutputStream out, io::OutputStream::open(request.output));
  Store::Entry e;
  JobTraces count;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(const bool more, entries.next(e));
    if (!more) break;
    const bool answered = e.result.state == AskState::kAnswered;
    // An audit pick without an answer counts, as a disagreement; once it may still be answered, it does not count yet.
    if (e.result.state == AskState::kPending || (!answered && e.row.reason != "audit")) {
      ++count.without_answer;
      continue;
    }
    const auto label = answered ? static_cast<size_t>(e.result.label) : parts.labels.size();
    if (answered && label >= parts.labels.size())
      return bad_input(path + ": damaged: a label that the job has not got");
    TRACER_RETURN_IF_ERROR(out.write_line(parts.line(e, answered ? parts.labels[label] : "null")));
    if (vectors) TRACER_RETURN_IF_ERROR(vectors->add(e.row));
    ++count.traces;
  }
  TRACER_RETURN_IF_ERROR(out.close());
  if (vectors) TRACER_RETURN_IF_ERROR(vectors->commit());
  return count;
}

Result<JobBatchFiles> export_batch(const std::string& job, const std::string& output) {
  const std::string path = job_path_of(job);
  TRACER_RETURN_IF_ERROR(check_outputs({{option("output"), output}}, {{"JOB", path}}, ""));
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open_to_read(path));
  TRACER_ASSIGN_OR_RETURN(const Llm llm, llm_of_job(store.config(), path, nullptr));
  TRACER_ASSIGN_OR_RETURN(BatchOut out,
                          write_batch(store, *llm.api, *llm.prompt, {.structured = llm.dispatch.structured}, output));
  return JobBatchFiles{out.requests, std::move(out.files)};
}

Result<JobBatchAnswers> import_batch(const JobBatchImport& request) {
  const std::string path = job_path_of(request.job);
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open(path));
  TRACER_ASSIGN_OR_RETURN(const Llm llm, llm_of_job(store.config(), path, nullptr));
  BatchIn all;
  for (const std::string& file : request.results) {
    TRACER_ASSIGN_OR_RETURN(const BatchIn in, read_batch(store, *llm.api, llm.dispatch.price, file, io::now_seconds()));
    all += in;
  }
  TRACER_RETURN_IF_ERROR(store.close());
  return JobBatchAnswers{all.lines, all.answered, all.unparsed, all.failed, all.again, all.settled};
}

}  // namespace tracer::job
