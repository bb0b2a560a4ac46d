// Sends a job's asks through a batch API: makes batches, submits, polls, takes in what came, and asks again what did
// not; until all is settled.
//
// Durable: a batch is in the store before the server hears of it, and its id before it is polled. After a crash a batch
// whose id is not known is looked for among the server's: OpenAI's by its tag, Anthropic's (which keep none) by time
// and size, proved by its results. Where the server lists it, nothing is paid twice.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "host/job/batch_files.h"
#include "host/job/batch_log.h"
#include "host/job/stop_reason.h"
#include "host/job/store.h"
#include "host/llm/batch_api.h"
#include "host/llm/prompt.h"

namespace tracer::job {

struct BatchRunOptions {
  double poll_seconds = 60;
  double give_up_seconds = 3600;  // without any answer of the server
  RequestLimits limits;           // of one batch; the budget's are added
  std::optional<llm::Price> price;
  std::optional<int64_t> most_cost;      // picodollars, of the job
  std::optional<int64_t> most_requests;  // likewise
  std::optional<double> deadline_seconds;
  bool structured = true;
};

class BatchRunner {
 public:
  // files: where requests and results are kept meanwhile, "OUT.job.batch". stopped: asked often; true ends the run
  // (batches stay at the server). note: for people. All must outlive it.
  BatchRunner(const BatchRunOptions& options, Store& store, const llm::ChatApi& chat, const llm::Prompt& prompt,
              llm::BatchApi& remote, std::string files, std::function<bool()> stopped,
              std::function<void(const std::string&)> note);

  // kNone: nothing is left to ask. A status is trouble of our own: a full disk, a damaged job.
  Result<StopReason> run();
  const std::string& stop_message() const { return message_; }  // what the server said

  // Asks the server to end the open batches, and takes in what they had done (waits for them). What is left of them is
  // free again.
  Result<StopReason> cancel();

 private:
  // False: the run has ended, see stop_.
  Result<bool> submit_pending();
  Result<bool> submit(Batch& batch, const std::string& requests);
  Result<bool> poll(Batch& batch);
  Result<bool> take_in(Batch& batch, const llm::RemoteBatch& remote);
  Result<bool> settle_unknown(Batch& batch);
  Result<std::optional<llm::RemoteBatch>> find(const Batch& batch);
  Status adopt(Batch& batch, const std::string& remote_id);
  Status release(const Batch& batch, const std::string& outcome);
  Result<bool> ended_barren(const std::string& error);
  template <typename T, typename Call>
  Result<std::optional<llm::Called<T>>> persist(Call call);
  bool ends(const http::Verdict& verdict);
  bool wait(int64_t ms);
  int64_t poll_ms() const { return static_cast<int64_t>(options_.poll_seconds * 1000); }
  bool end(StopReason reason, const std::string& message = "");
  std::string file(const Batch& batch, const std::string& what) const;
  std::string tag(const Batch& batch) const;

  const BatchRunOptions options_;
  Store& store_;
  const llm::ChatApi& chat_;
  const llm::Prompt& prompt_;
  llm::BatchApi& remote_;
  const std::string files_;
  const std::function<bool()> stopped_;
  const std::function<void(const std::string&)> note_;

  int64_t began_ms_ = 0, heard_ms_ = 0;
  int barren_ = 0;  // batches in a row that settled nothing
  bool cancelling_ = false;
  std::string last_seen_;
  StopReason stop_ = StopReason::kNone;
  std::string message_;
};

}  // namespace tracer::job
