#include "host/cli/send_batches.h"

#include "host/cli/signals.h"
#include "host/http/http_transfer.h"
#include "host/job/batch_runner.h"
#include "host/job/cancel.h"
#include "host/llm/batch_api.h"

namespace tracer::cli {
namespace {

Result<BatchesEnd> with_batches(const Console& console, job::Store& store, const std::string& job, const Llm& llm,
                                double poll_seconds, bool cancel) {
  const auto stopped = [&] { return signals_seen() > 0 || (!cancel && job::cancel_requested(job)); };
  TRACER_ASSIGN_OR_RETURN(auto http, http::HttpTransfer::create(llm.http, stopped));
  llm::BatchApi remote(*llm.api, *http);
  job::BatchRunOptions options;
  options.poll_seconds = poll_seconds;
  options.give_up_seconds = llm.dispatch.give_up_seconds;
  options.price = llm.dispatch.price;
  options.most_cost = llm.dispatch.most_cost;
  options.most_requests = llm.dispatch.most_requests;
  options.deadline_seconds = llm.dispatch.deadline_seconds;
  options.structured = llm.dispatch.structured;
  job::BatchRunner runner(options, store, *llm.api, *llm.prompt, remote, job + ".batch", stopped,
                          [&](const std::string& text) { console.note(text); });
  TRACER_ASSIGN_OR_RETURN(auto why, cancel ? runner.cancel() : runner.run());
  BatchesEnd end{why, runner.stop_message()};
  if (end.why == job::StopReason::kInterrupted && signals_seen() == 0) end.why = job::StopReason::kCancelled;
  return end;
}

}  // namespace

Result<BatchesEnd> send_batches(const Console& console, job::Store& store, const std::string& job, const Llm& llm,
                                double poll_seconds) {
  return with_batches(console, store, job, llm, poll_seconds, false);
}

Result<BatchesEnd> cancel_batches(const Console& console, job::Store& store, const std::string& job, const Llm& llm,
                                  double poll_seconds) {
  return with_batches(console, store, job, llm, poll_seconds, true);
}

}  // namespace tracer::cli
