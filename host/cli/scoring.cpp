#include "host/cli/scoring.h"

#include <future>
#include <optional>
#include <system_error>
#include <utility>

namespace tracer::cli {
namespace {

// Prepares the stage at the first batch: one that is not full is all there is, and few rows need little preparing.
Status score(Backend& backend, const LoadedPolicy& loaded, ScoredBatch& rows, std::optional<PreparedStage>& stage) {
  const HostMatrix<const float> x = rows.batch.view();
  if (!stage) {
    auto prepared = prepare_stage(backend, loaded.artifact.policy.stages[0], {loaded.certificate.threshold}, x.rows);
    if (!prepared.ok()) return prepared.status();
    stage = std::move(prepared).value();
  }
  TRACER_RETURN_IF_ERROR(score_rows(backend, *stage, x, rows.scores));
  for (size_t i = 0; i < rows.batch.rows.size(); ++i)
    TRACER_RETURN_IF_ERROR(check_score(loaded, rows.scores[i], "line " + std::to_string(rows.batch.rows[i].line)));
  return {};
}

}  // namespace

Status score_all(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader,
                 const std::function<Status(ScoredBatch&)>& take) {
  std::optional<PreparedStage> stage;
  ScoredBatch now, before;
  std::future<Status> taking;  // of `before`
  const auto taken = [&] { return taking.valid() ? taking.get() : Status(); };
  while (true) {
    auto more = reader.next(backend, now.batch);
    const Status scored = more.ok() && *more ? score(backend, loaded, now, stage) : more.status();
    TRACER_RETURN_IF_ERROR(taken());
    if (!scored.ok()) return scored;
    if (!*more) return {};
    std::swap(now, before);
    try {
      taking = std::async(std::launch::async, [&] { return take(before); });
    } catch (const std::system_error&) {  // out of threads
      TRACER_RETURN_IF_ERROR(take(before));
    }
  }
}

}  // namespace tracer::cli
