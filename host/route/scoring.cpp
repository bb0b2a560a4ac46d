#include "host/route/scoring.h"

#include <future>
#include <optional>
#include <system_error>
#include <utility>

#include "engine/policy/row_scorer.h"

namespace tracer {
namespace {

// With so few threads, one that reads while rows are scored takes a processor from a worker in the middle of its task,
// and the others wait for it: the next batch is read while the one before is taken, and then rows are scored.
constexpr int kFewThreads = 4;

// Opens the scorer at the first batch: one that is not full is all there is, and few rows need little preparing.
Status score_batch(Backend& backend, const LoadedPolicy& loaded, const RowBatch& batch,
                   std::optional<RowScorer>& scorer, std::vector<RowScore>& scores) {
  if (!scorer) {
    TRACER_ASSIGN_OR_RETURN(
        scorer, RowScorer::open(backend, loaded.artifact.policy, loaded.rule, static_cast<int64_t>(batch.rows.size())));
  }
  const auto name = [&](int64_t i) { return "line " + std::to_string(batch.rows[static_cast<size_t>(i)].line); };
  const Status scored = batch.answered.empty() ? scorer->score({.x = batch.view(), .name = name}, scores)
                                               : scorer->score_rest(batch.view(), batch.answered, scores, name);
  if (scored.code() == ErrorCode::kBadInput) return bad_input(loaded.folder + ": " + scored.message());
  return scored;
}

}  // namespace

Status score_all(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                 const std::function<Status(ScoredBatch&)>& take) {
  std::optional<RowScorer> scorer;
  ScoredBatch now, before;
  std::future<Status> taking;  // of `before`
  const auto taken = [&] { return taking.valid() ? taking.get() : Status(); };
  const bool few = backend.threads() <= kFewThreads;
  while (true) {
    auto more = reader.next(backend, now.batch);
    if (!few && more.ok() && *more) reader.read_ahead();
    const Status scored =
        more.ok() && *more ? score_batch(backend, loaded, now.batch, scorer, now.scores) : more.status();
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
