// The one thread that owns a job's state: it stores what must last (group commit), gives pending asks to the
// dispatcher, and writes the output in input order. Routing and dispatch talk to it in messages.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "host/job/dispatch_log.h"
#include "host/job/lines.h"
#include "host/job/output_file.h"
#include "host/job/store.h"
#include "kernels/status.h"

namespace tracer::job {

// A routed row: a line that is ready, or one that goes to the LLM.
struct RoutedRow {
  std::string line;  // "" where `deferred` is set
  std::optional<DeferredRow> deferred;
};

struct JournalOptions {
  // Rows routed and not yet written, at most: the memory of a job, and how far routing runs ahead of the LLM.
  int64_t window_rows = int64_t{1} << 18;
  // How long a write may wait for others to share its commit: an answer, whose request keeps its place until then; and
  // everything else.
  int64_t answer_ms = 0;
  int64_t commit_ms = 10;
};

struct JournalCounts {
  int64_t routed = 0, written = 0;  // rows
};

// Thread-safe, except start() and join().
class Journal final : public DispatchLog {
 public:
  // Asks for the dispatcher; end: there will be no more. On a thread of the journal's, quick, not calling back.
  using Deliver = std::function<void(std::vector<PendingAsk> asks, bool end)>;
  // That many ended attempts are on the disk. Likewise.
  using Kept = std::function<void(int64_t attempts)>;

  Journal(Store store, OutputFile output, LineFormat format, const JournalOptions& options);
  ~Journal() override;
  void start(Deliver deliver, Kept kept);

  // Routing. Rows in order, from the output's first on. False: the window is full for now (waits at most 100 ms).
  // Status: the journal has failed.
  Result<bool> add(std::vector<RoutedRow>& rows);
  Status routing_done();

  // Dispatch: see DispatchLog.
  void want(int64_t n) override;
  int64_t new_attempt() override;
  void attempt_started(int64_t attempt, int64_t ask, AttemptKind kind, int64_t most_cost) override;
  void attempt_ended(AttemptEnd end) override;
  void dispatch_ended(std::string why) override;
  Status failure() const override;

  // Waits until everything is written, or no more can be; false after timeout_ms.
  bool wait(int64_t timeout_ms);
  // Ends early: what was said so far is stored, and no more rows are written.
  void stop();
  // Joins the thread; then the state on disk is what it will be. The first error that occurred.
  Status join();

  JournalCounts counts() const;
  // After join().
  Store& store() { return store_; }

 private:
  struct Routed {
    std::vector<RoutedRow> rows;
  };
  struct RoutingDone {};
  struct Want {
    int64_t n;
  };
  struct Started {
    int64_t attempt, ask;
    AttemptKind kind;
    int64_t most_cost;
    double now;
  };
  struct DispatchEnded {
    std::string why;
  };
  using Message = std::variant<Routed, RoutingDone, Want, Started, AttemptEnd, DispatchEnded>;

  // A row that waits to be written.
  struct Waiting {
    std::string line;
    std::optional<DeferredRow> deferred;
    int64_t ask = 0;
    bool first = false;
  };
  struct Known {
    AskResult result;
    int64_t rows = 0;  // in the window
  };

  void post(Message message);
  void loop();
  Status take(std::vector<Message>& messages);
  Status store_some_rows();
  Status store_row(RoutedRow row);
  Status handle(Routed& m);
  Status handle(RoutingDone&);
  Status handle(Want& m);
  Status handle(Started& m);
  Status handle(AttemptEnd& m);
  Status handle(DispatchEnded& m);
  Status in_transaction(int64_t within_ms);
  Status commit();
  Status deliver();
  Status write_ready();
  Status keep(const std::optional<Checkpoint>& checkpoint);
  Status check_routed_again();
  Status end_routing();
  Status finish();
  bool complete() const { return routing_done_ && window_.empty(); }

  Store store_;
  OutputFile output_;
  const LineFormat format_;
  const JournalOptions options_;
  Deliver deliver_;
  Kept kept_;
  std::thread thread_;

  // Of the journal's thread.
  std::deque<RoutedRow> unstored_;
  std::deque<Waiting> window_;
  std::unordered_map<int64_t, Known> known_;        // asks of rows in the window
  std::unordered_map<int64_t, AskResult> settled_;  // in the open transaction: facts only once it is committed
  int64_t ended_ = 0;                               // attempts, in the open transaction
  int64_t next_row_ = 0;
  int64_t first_row_ = 0;      // where this run began
  int64_t routed_before_ = 0;  // rows that an earlier run had routed
  int64_t seen_again_ = 0;     // of their rows for the LLM, those that came again
  int64_t delivered_ = 0;      // asks up to this id
  int64_t wanted_ = 0;
  bool asks_left_ = true;  // there may be pending asks above delivered_
  bool end_told_ = false;
  bool transaction_ = false;
  int64_t commit_at_ms_ = 0;
  int64_t flushed_ms_ = 0;
  bool all_routed_ = false;    // nothing comes after unstored_
  bool routing_done_ = false;  // and all of it is stored
  bool dispatch_ended_ = false;
  std::string why_;

  mutable std::mutex mutex_;
  std::condition_variable to_journal_, from_journal_;
  // Guarded by mutex_.
  std::vector<Message> inbox_;
  int64_t in_window_ = 0;  // rows, those in the inbox included
  int64_t next_attempt_;
  JournalCounts counts_;
  Status failure_;
  bool stopping_ = false;
  bool done_ = false;
};

}  // namespace tracer::job
