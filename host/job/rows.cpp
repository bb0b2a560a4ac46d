#include "host/job/rows.h"

#include <filesystem>

#include "host/io/json_text.h"

namespace tracer::job {

RowsConfig rows_config(const LoadedPolicy& loaded, const RowSource& input) {
  std::error_code ec;
  const auto bytes = std::filesystem::file_size(input.traces, ec);
  RowsConfig rows;
  rows.policy = loaded.artifact.digest;
  rows.alpha = loaded.certificate.alpha;
  if (!ec) rows.input_bytes = static_cast<int64_t>(bytes);
  rows.input_key = input.input_key;
  rows.format = input.format;
  rows.labels = loaded.artifact.policy.labels;
  return rows;
}

RoutedRow JobRows::route(RowBatch::Row& row, const RowScore& score, int64_t at) const {
  const Reason reason = decide(score, loaded_.rule);
  const bool handled = reason == Reason::kAccepted;
  const bool picked = audit_.uniform(static_cast<uint64_t>(at)) < audit_rate_;
  std::string id = row.id ? io::json_string(*row.id) : std::to_string(row.line);
  RoutedRow out;
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

}  // namespace tracer::job
