#include "host/cli/job_rows.h"

#include "host/io/json_text.h"
#include "host/route/counts.h"

namespace tracer::cli {

job::RoutedRow JobRows::route(RowBatch::Row& row, const RowScore& score, int64_t at) const {
  const Reason reason = decide(score, loaded_.rule);
  const bool handled = reason == Reason::kAccepted;
  const bool picked = audit_.uniform(static_cast<uint64_t>(at)) < audit_rate_;
  std::string id = row.id ? io::json_string(*row.id) : std::to_string(row.line);
  job::RoutedRow out;
  if (handled && !picked) {
    out.line = format_.handled(id, score.features.label, score.score);
    return out;
  }
  out.deferred.emplace();
  out.deferred->row = at;
  out.deferred->id = std::move(id);
  out.deferred->input = std::move(row.input);
  out.deferred->reason = picked ? "audit" : to_string(reason);
  out.deferred->handled = handled;
  out.deferred->label = score.features.label;
  out.deferred->score = score.score;
  return out;
}

}  // namespace tracer::cli
