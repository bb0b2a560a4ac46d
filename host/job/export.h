// What a job gives away: its answers as traces, and its open questions and their answers as files of a batch API.
#pragma once

#include <string>

#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/status.h"

namespace tracer::job {

// One trace for each row that went to the LLM, with where the trace came from (docs/dispatch.md): what `tracer update`
// learns from. Only reads the job, which may be running.
Result<JobTraces> export_traces(const JobExportRequest& request);

// Every pending text, as requests in files; batch_files.h says how. Only reads the job.
Result<JobBatchFiles> export_batch(const std::string& job, const std::string& output);
// Takes in files of results; each is taken in whole or not at all. kIo while a process runs the job.
Result<JobBatchAnswers> import_batch(const JobBatchImport& request);

}  // namespace tracer::job
