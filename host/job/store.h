// The durable state of a job: one SQLite file beside the output (WAL, synchronous=FULL). Format: docs/dispatch.md.
//
// A row that needs the LLM points to an ask; rows of the same text share one. What the surrogate says of other rows is
// not stored: it is computed again, under the policy whose digest the job holds.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/io/file.h"
#include "host/io/sqlite.h"
#include "host/job/config.h"
#include "host/llm/prices.h"
#include "kernels/status.h"

namespace tracer::job {

inline constexpr int64_t kJobVersion = 2;

// Numbers are frozen: they are on disk.
enum class AskState : int64_t { kPending = 0, kAnswered = 1, kFailed = 2 };
enum class AttemptKind : int64_t { kFirst = 0, kRetry = 1, kCorrection = 2 };
enum class AttemptState : int64_t {
  kInFlight = 0,
  kEnded = 1,
  kLost = 2,  // was in flight when a process died: it may have been paid for, and no answer came
};

// A row that goes to the LLM.
struct DeferredRow {
  int64_t row = 0;  // among the good rows of the input, from 0
  std::string id;   // as JSON
  std::string input;
  std::string reason;    // why: of the policy, or "audit"
  bool handled = false;  // an audit pick that the policy would have handled
  int32_t label = -1;    // the surrogate's
  double score = 0;
};

// What is known of an ask.
struct AskResult {
  AskState state = AskState::kPending;
  int32_t label = -1;  // kAnswered
  std::string error;   // kFailed
  llm::Usage usage;    // of all its attempts
  int64_t cost = 0;    // picodollars, likewise
};

struct PendingAsk {
  int64_t id = 0;
  std::string input;
  std::optional<std::string> bad_answer;  // it was answered with this, which is none of the labels
};

struct AttemptEnd {
  int64_t attempt = 0;
  int64_t ask = 0;
  int64_t http_status = 0;
  std::string outcome;  // "answered", "unparsed", or the error
  llm::Usage usage;
  int64_t cost = 0;
  bool unknown = false;  // it may have cost something, and nothing says how much: at most what its start reserved
  // What becomes of the ask: nothing yet, an answer, a failure, or one correction more.
  std::optional<AskResult> result;
  std::optional<std::string> bad_answer;
};

// The output up to here: rows, bytes, and the chained hash of the bytes.
struct Checkpoint {
  int64_t rows = 0;
  int64_t bytes = 0;
  uint64_t hash = 0;
};

struct Ledger {
  int64_t rows_deferred = 0, rows_audited = 0;
  int64_t asks = 0, answered = 0, failed = 0, pending = 0;
  int64_t batches = 0, in_batches = 0;  // open ones at a batch API; the pending asks that are in them
  int64_t attempts = 0, retries = 0, corrections = 0, lost = 0, in_flight = 0;
  llm::Usage usage;
  int64_t cost = 0;       // picodollars, of the attempts whose cost is known
  int64_t most_cost = 0;  // with the most that the others, and open batches, may have cost
  int64_t unknown = 0;    // those others: lost in a crash, cut off, timed out
};

// The .job file of a run, by that name or its output's.
std::string job_path_of(const std::string& given);

// One process at a time may write (a lock on the file says so); any number may read. One thread.
class Store {
 public:
  // Makes the file. kBadInput when there is one already.
  static Result<Store> create(const std::string& path, const JobConfig& config);
  // kIo: absent, or another process has the job. kBadInput: no job, damaged, or of another version.
  static Result<Store> open(const std::string& path);
  static Result<Store> open_to_read(const std::string& path);
  // Removes what a create() that was killed left: a database with nothing in it. False: it is something else. kIo: as
  // for open().
  static Result<bool> remove_unborn(const std::string& path);

  const JobConfig& config() const { return config_; }

  // Writes go into one transaction until commit(), which returns when they are on the disk.
  Status begin();
  Status commit();

  // The row's ask, made when no row before has the same text. A row that is there already must be the same one:
  // kBadInput when the input or the decisions have changed since.
  struct Added {
    int64_t ask = 0;
    int64_t first_row = 0;
    AskResult known;
  };
  Result<Added> add_row(const DeferredRow& row);
  Status set_routed(int64_t rows, bool all);
  int64_t routed() const { return routed_; }  // rows up to here have been routed once

  int64_t next_attempt() const { return next_attempt_; }
  Status start_attempt(int64_t attempt, int64_t ask, AttemptKind kind, int64_t most_cost, double now);
  // Also adds its usage to the ask's, and gives what the ask came to.
  Result<AskResult> end_attempt(const AttemptEnd& end);
  // By id, above `after`; those in an open batch left out.
  Result<std::vector<PendingAsk>> pending(int64_t after, int64_t most);

  struct AskInfo {
    AskState state = AskState::kPending;
    bool bad_answer = false;  // it was answered once, with none of the labels
    int64_t first_row = 0;
  };
  Result<std::optional<AskInfo>> ask(int64_t id);

  // When a job is taken up again: attempts left in flight are lost; failed asks are pending again where asked for.
  Status recover(bool retry_errors);
  // Rows first .. end-1 that went to the LLM.
  Result<int64_t> count_rows(int64_t first, int64_t end);
  // The first row without a final answer, or -1.
  Result<int64_t> first_open_row();

  Result<std::vector<Checkpoint>> checkpoints();
  Status add_checkpoint(const Checkpoint& checkpoint);
  Status drop_checkpoints_after(int64_t rows);

  Result<Ledger> ledger();
  // What the rows that went to the LLM came to, by the source their lines name.
  struct Sources {
    int64_t llm = 0, cache = 0, surrogate = 0, error = 0;
  };
  Result<Sources> sources();
  Status set_finished(bool finished);
  bool finished() const { return finished_; }

  // Every row from..end-1 that went to the LLM, in order, with what its ask came to.
  struct Entry {
    DeferredRow row;
    int64_t ask = 0, first_row = 0;
    AskResult result;
  };
  class Reader {
   public:
    Result<bool> next(Entry& entry);

   private:
    friend class Store;
    io::Statement rows_;
    std::string path_;
    int64_t labels_ = 0;
  };
  Result<Reader> entries(int64_t from = 0, int64_t end = std::numeric_limits<int64_t>::max());
  // kBadInput: row `at` of the input is not the one that the job began with.
  Status another_row(int64_t at) const;

  Status close();

  // For what is kept beside (batch_log.h).
  io::Database& database() { return *db_; }
  Status set_meta(const std::string& key, const std::string& value);
  Result<std::string> meta(const std::string& key);  // "" when there is none

 private:
  static Result<Store> opened(const std::string& path, io::Database::Mode mode);
  Status prepare();
  Status read_config();
  Status read_row(const std::string& sql, std::initializer_list<int64_t*> out);
  int64_t labels() const { return static_cast<int64_t>(config_.rows.labels.size()); }

  std::string path_;
  io::UniqueFd lock_;  // closed after the database: closing any descriptor of the file drops SQLite's own locks
  std::unique_ptr<io::Database> db_;
  JobConfig config_;
  int64_t routed_ = 0;
  int64_t next_attempt_ = 1;
  bool finished_ = false;
  io::Statement find_ask_, add_ask_, find_row_, add_row_, start_, end_, settle_, pending_, meta_;
};

}  // namespace tracer::job
