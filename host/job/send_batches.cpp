#include "host/job/send_batches.h"

#include "host/http/http_transfer.h"
#include "host/job/batch_runner.h"
#include "host/job/cancel.h"
#include "host/llm/batch_api.h"

namespace tracer::job {
namespace {

Result<BatchesEnd> with_batches(Store& store, const std::string& job, const Llm& llm, double poll_seconds, bool cancel,
                                const Events& events) {
  const auto stopped = [&] { return events.stop_wanted() || (!cancel && cancel_requested(job)); };
  TRACER_ASSIGN_OR_RETURN(auto http, http::HttpTransfer::create(llm.http, stopped));
  llm::BatchApi remote(*llm.api, *http);
  BatchRunOptions options;
  options.poll_seconds = poll_seconds;
  options.give_up_seconds = llm.dispatch.give_up_seconds;
  options.price = llm.dispatch.price;
  options.most_cost = llm.dispatch.most_cost;
  options.most_requests = llm.dispatch.most_requests;
  options.deadline_seconds = llm.dispatch.deadline_seconds;
  options.structured = llm.dispatch.structured;
  BatchRunner runner(options, store, *llm.api, *llm.prompt, remote, job + ".batch", stopped,
                     [&](const std::string& text) { events.tell(text); });
  TRACER_ASSIGN_OR_RETURN(auto why, cancel ? runner.cancel() : runner.run());
  BatchesEnd end{why, runner.stop_message()};
  if (end.why == StopReason::kInterrupted && !events.stop_wanted()) end.why = StopReason::kCancelled;
  return end;
}

}  // namespace

Result<BatchesEnd> send_batches(Store& store, const std::string& job, const Llm& llm, double poll_seconds,
                                const Events& events) {
  return with_batches(store, job, llm, poll_seconds, false, events);
}

Result<BatchesEnd> cancel_batches(Store& store, const std::string& job, const Llm& llm, double poll_seconds,
                                  const Events& events) {
  return with_batches(store, job, llm, poll_seconds, true, events);
}

}  // namespace tracer::job
