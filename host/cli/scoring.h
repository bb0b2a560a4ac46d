// A pass over rows that scores each: for the commands that answer them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/router.h"
#include "host/cli/batch_reader.h"
#include "host/cli/policy_input.h"
#include "kernels/backend.h"

namespace tracer::cli {

struct ScoredBatch {
  RowBatch batch;
  std::vector<RowScore> scores;
};

// Scores of a batch's rows, those that the text stage of a cascade answered included. Every score is finite (kBadInput
// names the line of one that is not). Prepares the stage at the first batch: one that is not full is all there is, and
// few rows need little preparing.
Status score_batch(Backend& backend, const LoadedPolicy& loaded, const RowBatch& batch,
                   std::optional<PreparedStage>& stage, std::vector<RowScore>& scores);

// Gives every batch of the reader to `take`, in order; while a batch is scored, a thread hands over the one before.
// What was scored before an error has been taken, and an error of `take` comes first.
Status score_all(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                 const std::function<Status(ScoredBatch&)>& take);

}  // namespace tracer::cli
