#include "host/api/log.h"

#include <utility>

#include "host/api/log_access.h"
#include "host/encoder/embedding.h"
#include "host/io/sha256.h"

namespace tracer {

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;
Log::~Log() = default;

int64_t Log::rows() const { return state_->file.traces.rows(); }
int64_t Log::dimension() const { return state_->vectors.x.cols(); }
const std::vector<std::string>& Log::labels() const { return state_->file.traces.labels; }

std::string rejects_of(const RowSource& rows) { return rows.rejects.empty() ? "rejects.jsonl" : rows.rejects; }

Result<std::string> find_vectors(const LogSource& source) {
  TRACER_ASSIGN_OR_RETURN(std::string path, vectors_path(source.rows));
  if (const std::string given = source.encoder.given(); !path.empty() && !given.empty())
    return bad_option(given, option(given) + " is for text, but vectors are given: " + path);
  return path;
}

Result<std::unique_ptr<Log::State>> read_log_rows(Backend& backend, const LogSource& source,
                                                  const std::string& vectors_path, const Events& events) {
  auto log = std::make_unique<Log::State>();
  log->rows = source.rows;
  log->vectors_path = vectors_path;
  const bool embeds = vectors_path.empty();
  if (embeds) {  // before the rows: a missing model should not cost their reading
    TRACER_ASSIGN_OR_RETURN(log->encoder, open_named_encoder(source.rows, source.encoder, backend, events));
  }
  TRACER_ASSIGN_OR_RETURN(
      log->file, read_log(source.rows, source.group_by, rejects_of(source.rows), embeds || source.keep_texts, events));
  return log;
}

Status read_log_vectors(Log::State& log, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(log.vectors,
                          read_or_embed(log.vectors_path, log.embeds(), log.file, log.rows.traces, events));
  return {};
}

Result<Log> read_log(const Device& device, const LogSource& source, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(const std::string path, find_vectors(source));
  TRACER_ASSIGN_OR_RETURN(auto log, read_log_rows(DeviceAccess::backend(device), source, path, events));
  TRACER_RETURN_IF_ERROR(read_log_vectors(*log, events));
  return LogAccess::make(std::move(log));
}

namespace {

Status check_columns(const LogRows& columns) {
  const size_t n = columns.labels.size();
  const std::pair<const char*, size_t> lengths[] = {{"texts", columns.texts.size()},
                                                    {"ids", columns.ids.size()},
                                                    {"groups", columns.groups.size()},
                                                    {"times", columns.times.size()},
                                                    {"vectors", static_cast<size_t>(columns.vectors.rows())}};
  for (const auto& [name, length] : lengths)
    if (length != 0 && length != n)
      return bad_option(name, columns.name + ": " + name + ": expected one for each of " + std::to_string(n) +
                                  " labels, found " + std::to_string(length));
  if (columns.texts.empty() && columns.vectors.empty())
    return bad_option("vectors", columns.name + ": expected texts or vectors, found neither");
  return {};
}

// What tells one log in memory from another, in the policy's record: as the digest of a file does.
std::string digest_of(const LogRows& columns) {
  std::string all;
  const auto add = [&](const std::vector<std::string>& column) {
    for (const std::string& value : column) all += std::to_string(value.size()) + ":" + value;
    all += ";";
  };
  add(columns.texts), add(columns.labels), add(columns.ids);
  return io::sha256_hex(all);
}

}  // namespace

Result<Log> Log::from_rows(const Device& device, LogRows columns, const RowSource& rows, const EncoderRun& encoder,
                           const Events& events) {
  TRACER_RETURN_IF_ERROR(check_columns(columns));
  auto log = std::make_unique<State>();
  log->rows = rows;
  log->rows.traces = columns.name;
  io::TraceReadOptions options;
  options.keep_input = !columns.texts.empty();
  if (!columns.groups.empty()) options.reader.group_by = "groups";
  size_t i = 0;
  std::string vector_as_text;
  TRACER_ASSIGN_OR_RETURN(log->file, io::gather_traces(
                                         columns.name,
                                         [&](io::TraceRow& row) {
                                           if (i == columns.labels.size()) return false;
                                           if (!columns.texts.empty()) {
                                             row.input = columns.texts[i];
                                           } else {  // rows without a text are told apart by their vectors
                                             const float* x = columns.vectors.row(static_cast<int64_t>(i));
                                             vector_as_text = io::sha256_hex(std::string_view(
                                                 reinterpret_cast<const char*>(x),
                                                 static_cast<size_t>(columns.vectors.cols()) * sizeof(float)));
                                             row.input = vector_as_text;
                                           }
                                           row.has_label = true, row.label = columns.labels[i];
                                           if (!columns.ids.empty())
                                             row.has_id = !columns.ids[i].empty(), row.id = columns.ids[i];
                                           if (!columns.groups.empty())
                                             row.has_group = !columns.groups[i].empty(), row.group = columns.groups[i];
                                           if (!columns.times.empty()) row.timestamp = columns.times[i];
                                           ++i;
                                           return true;
                                         },
                                         options));
  log->file.sha256 = digest_of(columns);
  if (columns.vectors.empty()) {
    TRACER_ASSIGN_OR_RETURN(log->encoder, open_named_encoder(rows, encoder, DeviceAccess::backend(device), events));
    TRACER_RETURN_IF_ERROR(read_log_vectors(*log, events));
  } else {
    log->vectors_path = columns.name;
    log->vectors.x = std::move(columns.vectors);
  }
  return LogAccess::make(std::move(log));
}

}  // namespace tracer
