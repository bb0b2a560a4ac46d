// A job's batches at a batch API: which texts are in which, under what name the server has it. An ask in an open batch
// is in no other, and is not sent by itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/job/store.h"
#include "host/llm/chat_api.h"

namespace tracer::job {

// Numbers are frozen: they are on disk.
enum class BatchState : int64_t {
  kPrepared = 0,   // its requests are in a file; whether the server has it is not known
  kSubmitted = 1,  // the server has it, as remote_id
  kEnded = 2,      // its results are taken in; its asks are free
};

struct Batch {
  int64_t id = 0;
  BatchState state = BatchState::kPrepared;
  std::string remote_id;
  double started = 0;  // seconds since 1970
  int64_t requests = 0;
  int64_t most_cost = 0;  // picodollars: what it may cost
  llm::Dialect dialect;
  std::vector<std::string> not_ours;  // remote ids that were taken for it, and held another job's answers
};

// All within the store's transaction, or each by itself.
Result<int64_t> add_batch(Store& store, const Batch& batch, const std::vector<int64_t>& asks);
// Not yet ended, by id.
Result<std::vector<Batch>> open_batches(Store& store);
// Of all batches, ended ones too.
Result<std::vector<std::string>> remote_ids(Store& store);
// Its state, remote id and not_ours.
Status update_batch(Store& store, const Batch& batch);
// Asks of it without an answer are free for another one. outcome: for the record.
Status end_batch(Store& store, int64_t id, const std::string& outcome);

// The way of asking that the server took last; the default before any.
Result<llm::Dialect> batch_dialect(Store& store, const llm::Dialect& otherwise);
Status set_batch_dialect(Store& store, const llm::Dialect& dialect);

}  // namespace tracer::job
