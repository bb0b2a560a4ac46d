#include "host/route/scoring.h"

#include <future>
#include <optional>
#include <system_error>
#include <utility>

namespace tracer {
namespace {

// With so few threads, one that reads while rows are scored takes a processor from a worker in the middle of its task,
// and the others wait for it: the next batch is read while the one before is taken, and then rows are scored.
constexpr int kFewThreads = 4;

// The text stage's answers among the scores of the rows that it left.
void merge_answers(const RowBatch& batch, std::vector<RowScore>& scores) {
  auto at = static_cast<size_t>(batch.vector_rows());
  scores.resize(batch.rows.size());
  for (size_t i = batch.rows.size(); i-- > 0;) {
    if (batch.answered[i])
      scores[i] = *batch.answered[i];
    else
      scores[i] = scores[--at];
  }
}

// Prepares the stage at the first batch: one that is not full is all there is, and few rows need little preparing.
Status score_batch(Backend& backend, const LoadedPolicy& loaded, const RowBatch& batch,
                   std::optional<PreparedStage>& stage, std::vector<RowScore>& scores) {
  const HostMatrix<const float> x = batch.view();
  if (!stage) {
    TRACER_ASSIGN_OR_RETURN(auto prepared,
                            prepare_stage(backend, loaded.artifact.policy.stages[0], {loaded.certificate.threshold},
                                          static_cast<int64_t>(batch.rows.size())));
    stage = std::move(prepared);
  }
  scores.clear();
  if (x.rows > 0) TRACER_RETURN_IF_ERROR(score_rows(backend, *stage, x, scores));
  if (!batch.answered.empty()) merge_answers(batch, scores);
  for (size_t i = 0; i < batch.rows.size(); ++i)
    TRACER_RETURN_IF_ERROR(check_score(loaded, scores[i], "line " + std::to_string(batch.rows[i].line)));
  return {};
}

}  // namespace

Status score_all(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                 const std::function<Status(ScoredBatch&)>& take) {
  std::optional<PreparedStage> stage;
  ScoredBatch now, before;
  std::future<Status> taking;  // of `before`
  const auto taken = [&] { return taking.valid() ? taking.get() : Status(); };
  const bool few = backend.threads() <= kFewThreads;
  while (true) {
    auto more = reader.next(backend, now.batch);
    if (!few && more.ok() && *more) reader.read_ahead();
    const Status scored =
        more.ok() && *more ? score_batch(backend, loaded, now.batch, stage, now.scores) : more.status();
    TRACER_RETURN_IF_ERROR(taken());
    if (!scored.ok()) return scored;
    if (!*more) return {};
    std::swap(now, before);
    try {
      taking = std::async(std::launch::async, [&] { return take(before); });
    } catch (const std::system_error&) {  // out of threads
      TRACER_RETURN_IF_ERROR(take(before));
    }
    if (few) reader.read_ahead();
  }
}

}  // namespace tracer
