// A pass over rows that scores each: for the commands that answer them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/policy/router.h"
#include "host/route/batch_reader.h"
#include "host/route/opened_policy.h"
#include "kernels/backend.h"

namespace tracer {

struct ScoredBatch {
  RowBatch batch;
  std::vector<RowScore> scores;
};

// Gives every batch of the reader to `take`, in order; while a batch is scored, a thread hands over the one before.
// The scores of rows that the text stage of a cascade answered are among them. Every score is finite (kBadInput names
// the line of one that is not). What was scored before an error has been taken, and an error of `take` comes first.
Status score_all(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                 const std::function<Status(ScoredBatch&)>& take);

}  // namespace tracer
