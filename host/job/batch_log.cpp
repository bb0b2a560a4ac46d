#include "host/job/batch_log.h"

#include <algorithm>
#include <charconv>

namespace tracer::job {
namespace {

// Frozen: on disk.
int64_t bits(const llm::Dialect& d) {
  return (d.structured ? 1 : 0) | (d.max_completion_tokens ? 2 : 0) | (d.temperature ? 4 : 0);
}
llm::Dialect dialect_of(int64_t bits) { return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0}; }

// Ids are plain words: a space parts them.
std::string joined(const std::vector<std::string>& ids) {
  std::string out;
  for (const std::string& id : ids) out += (out.empty() ? "" : " ") + id;
  return out;
}
std::vector<std::string> parted(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

Result<int64_t> add_batch(Store& store, const Batch& b, const std::vector<int64_t>& asks) {
  TRACER_ASSIGN_OR_RETURN(
      auto add, store.database().prepare(
                    "INSERT INTO batches(state, started, requests, most_cost, dialect) VALUES(?1, ?2, ?3, ?4, ?5)"));
  TRACER_RETURN_IF_ERROR(add.bind(1, static_cast<int64_t>(b.state))
                             .bind(2, b.started)
                             .bind(3, b.requests)
                             .bind(4, b.most_cost)
                             .bind(5, bits(b.dialect))
                             .run());
  const int64_t id = store.database().last_id();
  TRACER_ASSIGN_OR_RETURN(auto assign, store.database().prepare("UPDATE asks SET batch = ?2 WHERE id = ?1"));
  for (const int64_t ask : asks) TRACER_RETURN_IF_ERROR(assign.bind(1, ask).bind(2, id).run());
  return id;
}

Result<std::vector<Batch>> open_batches(Store& store) {
  TRACER_ASSIGN_OR_RETURN(
      auto rows,
      store.database().prepare(
          "SELECT id, state, remote_id, started, requests, most_cost, dialect, not_ours FROM batches WHERE state <> 2 "
          "ORDER BY id"));
  std::vector<Batch> out;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto row, rows.step());
    if (!row) return out;
    Batch b;
    b.id = rows.integer(0);
    b.state = rows.integer(1) == 1 ? BatchState::kSubmitted : BatchState::kPrepared;
    b.remote_id = rows.text(2);
    b.started = rows.real(3);
    b.requests = rows.integer(4);
    b.most_cost = rows.integer(5);
    b.dialect = dialect_of(rows.integer(6));
    b.not_ours = parted(rows.text(7));
    out.push_back(std::move(b));
  }
}

Result<std::vector<std::string>> remote_ids(Store& store) {
  TRACER_ASSIGN_OR_RETURN(auto rows, store.database().prepare("SELECT remote_id FROM batches WHERE remote_id <> ''"));
  std::vector<std::string> out;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto row, rows.step());
    if (!row) return out;
    out.push_back(rows.text(0));
  }
}

Status update_batch(Store& store, const Batch& b) {
  TRACER_ASSIGN_OR_RETURN(
      auto update,
      store.database().prepare("UPDATE batches SET state = ?2, remote_id = ?3, not_ours = ?4 WHERE id = ?1"));
  const std::string not_ours = joined(b.not_ours);
  return update.bind(1, b.id)
      .bind(2, static_cast<int64_t>(b.state))
      .bind(3, std::string_view(b.remote_id))
      .bind(4, std::string_view(not_ours))
      .run();
}

Status end_batch(Store& store, int64_t id, const std::string& outcome) {
  TRACER_ASSIGN_OR_RETURN(auto free, store.database().prepare("UPDATE asks SET batch = NULL WHERE batch = ?1"));
  TRACER_RETURN_IF_ERROR(free.bind(1, id).run());
  TRACER_ASSIGN_OR_RETURN(auto ended,
                          store.database().prepare("UPDATE batches SET state = 2, outcome = ?2 WHERE id = ?1"));
  return ended.bind(1, id).bind(2, std::string_view(outcome)).run();
}

Result<llm::Dialect> batch_dialect(Store& store, const llm::Dialect& otherwise) {
  TRACER_ASSIGN_OR_RETURN(auto text, store.meta("batch_dialect"));
  int64_t stored = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, stored).ptr != end) return otherwise;
  return dialect_of(stored);
}

Status set_batch_dialect(Store& store, const llm::Dialect& dialect) {
  return store.set_meta("batch_dialect", std::to_string(bits(dialect)));
}

}  // namespace tracer::job
