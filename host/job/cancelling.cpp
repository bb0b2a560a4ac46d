#include "host/job/cancelling.h"

#include <chrono>
#include <string>
#include <thread>

#include "host/io/plain_text.h"
#include "host/job/cancel.h"
#include "host/job/send_batches.h"
#include "host/job/store.h"

namespace tracer::job {
namespace {

Status stopped() { return {ErrorCode::kInterrupted, "stopped"}; }

// Asks the process that has the job, if there is one, to end it. False: it still has it after wait_seconds.
Result<bool> wait_for_job(const std::string& path, double wait_seconds, const Events& events) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration<double>(wait_seconds);
  bool asked = false;
  while (in_use(path)) {
    if (!asked) TRACER_RETURN_IF_ERROR(request_cancel(path));
    asked = true;
    if (events.stop_wanted()) return stopped();
    if (Clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

// What the batches of the cancelled job come to.
Result<BatchesEnd> end_batches(Store& store, const std::string& path, int64_t batches, const JobCancelRequest& request,
                               const Events& events) {
  auto llm = llm_of_job(store.config(), path, &request.server);
  if (llm.ok()) return cancel_batches(store, path, *llm, request.poll_seconds, events);
  events.caution(path + ": cancelled, but " + counted(batches, "batch") + " of it go on at the server");
  // Not the fault of one option alone: the job is cancelled as asked.
  return Status(llm.status().code(), llm.status().marked_message());
}

}  // namespace

Result<JobCancelled> cancel(const JobCancelRequest& request, const Events& events) {
  const std::string path = job_path_of(request.job);
  TRACER_ASSIGN_OR_RETURN(const bool ours, wait_for_job(path, request.wait_seconds, events));
  if (events.stop_wanted()) return stopped();
  if (!ours) return io_error(path + ": the process that runs this job has not ended it yet; it was asked to");
  TRACER_ASSIGN_OR_RETURN(Store store, Store::open(path));
  // First of all: whatever becomes of the batches, nothing more is asked.
  TRACER_RETURN_IF_ERROR(set_cancelled(store, path, true));
  TRACER_ASSIGN_OR_RETURN(const Ledger before, store.ledger());
  BatchesEnd end;
  if (before.batches > 0) {
    TRACER_ASSIGN_OR_RETURN(end, end_batches(store, path, before.batches, request, events));
  }
  TRACER_ASSIGN_OR_RETURN(const Ledger after, store.ledger());
  TRACER_RETURN_IF_ERROR(store.close());
  if (end.why == StopReason::kInterrupted) return stopped();
  if (end.why != StopReason::kNone)
    return io_error(path + ": cancelled, but " + counted(after.batches, "batch") + " may go on at the server: " +
                    to_string(end.why) + (end.said.empty() ? "" : " (" + end.said + ")"));
  return JobCancelled{after.pending, before.batches, after.answered - before.answered};
}

}  // namespace tracer::job
