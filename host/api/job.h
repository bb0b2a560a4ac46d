// Jobs: every row of an input is answered, by the surrogate or by an LLM, durably (docs/dispatch.md). A job is killed
// at any instant and goes on: no row is lost, none is doubled, and an answer is on the disk before its line is.
#pragma once

#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/io/events.h"
#include "host/job/request.h"
#include "host/job/results.h"
#include "kernels/status.h"

namespace tracer {

// Each result is its figures and the document that `tracer` prints of them.
struct JobReport : JobEnd {
  Document document;
};
struct JobPriceReport : JobPrice {
  Document document;
};
struct JobStatus : JobFigures {
  Document document;
};
struct JobTracesReport : JobTraces {
  Document document;
};
struct JobRestReport : JobRest {
  Document document;
};
struct JobCancelReport : JobCancelled {
  Document document;
};
struct JobBatchFilesReport : JobBatchFiles {
  Document document;
};
struct JobBatchAnswersReport : JobBatchAnswers {
  Document document;
};

// Routes the input, asks the LLM about what the policy defers, and writes one line a row to request.output, in the
// order of the input; the same figures go to OUTPUT.meta.json. The call returns once every row has its line.
// A spent budget, a server that refuses us or rows without an answer are no errors: report.outcome tells.
// Errors: kBadInput with its field for options that are missing, out of range or at odds; kBadInput if the output has a
// job already and request.resume is not set, and if the job is of another policy, input or question; kIo if another
// process has the job; kInterrupted if events.stopped ended the call: what was answered is kept, and a request with
// `resume` goes on. events.abandoned gives up what is in flight.
// Threads: the call starts its own, and events are called on several of them, one at a time. Two jobs need two devices.
// Memory does not grow with the rows: 262,144 routed rows wait for answers before them, at most. A crash can make
// request.llm.concurrency requests be paid twice, at most.
Result<JobReport> run_job(const Device& device, const JobRequest& request, const Events& events);

// What the job would cost; nothing is sent or written, and request.output may be "". Routes every row.
Result<JobPriceReport> price_job(const Device& device, const JobRequest& request, const Events& events);

// A job is named by its output or by its .job file. What only reads a job may do so while a process runs the job.
// kBadInput for a file that is no job or is damaged, kIo if there is none.
Result<JobStatus> job_status(const std::string& job);

// The LLM's answers as traces with their provenance: what update learns from. Reads the job only.
Result<JobTracesReport> export_job(const JobExportRequest& request);

// The lines of the output that rows without an answer hold back. Reads the job only.
Result<JobRestReport> export_job_rest(const Device& device, const JobPartialRequest& request, const Events& events);

// Ends a job for good: the process that runs it, and its batches at the server. kIo if they have not ended; the job is
// marked as cancelled then, too. kInterrupted if events.stopped ends the wait.
Result<JobCancelReport> cancel_job(const JobCancelRequest& request, const Events& events);

// What is still to be asked, as requests for a batch API in `output`, and in OUTPUT.2 and so on if one file cannot hold
// them. Reads the job only.
Result<JobBatchFilesReport> export_job_batch(const std::string& job, const std::string& output);
// Takes in a batch API's files of results and errors; each is taken in whole or not at all. kIo while a process runs
// the job.
Result<JobBatchAnswersReport> import_job_batch(const JobBatchImport& request);

}  // namespace tracer
