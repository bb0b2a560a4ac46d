#include "host/explain/unseen_rows.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "engine/log/label_index.h"
#include "engine/log/split.h"
#include "engine/maths/pick.h"
#include "host/encoder/log_vectors.h"
#include "host/explain/rows.h"
#include "host/io/json_fields.h"
#include "host/io/plain_text.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

const std::string kGiveRows = ": give rows that the policy never saw with " + option("traces");

bool is_file(const std::string& path) {
  std::error_code error;
  return !path.empty() && std::filesystem::is_regular_file(path, error);
}

Result<SplitKind> kind_of(const std::string& name, const std::string& where) {
  for (const SplitKind kind : {SplitKind::kRows, SplitKind::kRuns, SplitKind::kTime, SplitKind::kGroups})
    if (name == to_string(kind)) return kind;
  return bad_input(where + ": run.split.kind: expected rows, runs, time or groups, found " + shown(name));
}

// The split as `fit` drew it.
Result<Split> split_of_log(const io::TraceFile& file, const LoadedPolicy& loaded, std::string group_by) {
  const Json& run = loaded.artifact.run;
  const std::string where = loaded.folder + "/manifest.json";
  if (!run.contains("certify_fraction"))
    return bad_input(loaded.folder + ": learned from all of its log and was certified on audited rows" + kGiveRows);
  JsonFields fields(run, where + ": run");
  SplitOptions options;
  int64_t seed = 0;
  std::string kind;
  fields.number("certify_fraction", options.certify_fraction, 0, 1);
  fields.count("seed", seed);
  JsonFields split_fields(fields.object("split"), where + ": run.split");
  int64_t guard_rows = 0, learn_rows = 0;
  split_fields.text("kind", kind);
  split_fields.count("n_guard", guard_rows);
  split_fields.count("n_learn", learn_rows);
  for (const Status& read : {fields.status(), split_fields.status()})
    if (!read.ok()) return read;
  TRACER_ASSIGN_OR_RETURN(auto known, kind_of(kind, where));
  if (known == SplitKind::kGroups && group_by.empty())
    return bad_input(loaded.folder + ": was fitted with " + option("group_by") + ": give the same key with " +
                     option("group_by"));
  if (known != SplitKind::kGroups && !group_by.empty())
    return bad_input(loaded.folder + ": was not fitted with " + option("group_by") + ", but split by " + kind);
  options.kind = known;
  options.seed = static_cast<uint64_t>(seed);
  options.guard = guard_rows > 0;
  TRACER_ASSIGN_OR_RETURN(auto split, make_split(file.traces, options));
  const auto wanted = loaded.certificate.n_certify;
  if (static_cast<int64_t>(split.certify.size()) != wanted) leave_out_large_units(split);
  std::unordered_set<int64_t> learned(loaded.artifact.policy.stages[0].neighbours.row.begin(),
                                      loaded.artifact.policy.stages[0].neighbours.row.end());
  const bool mixed = std::any_of(split.certify.begin(), split.certify.end(),
                                 [&](int32_t r) { return learned.contains(file.position[static_cast<size_t>(r)]); });
  if (mixed || static_cast<int64_t>(split.certify.size()) != wanted ||
      static_cast<int64_t>(split.learn.size()) != learn_rows)
    return bad_input(loaded.folder + ": the split of its log cannot be drawn again (other keys or another " +
                     option("group_by") + "?)" + kGiveRows);
  return split;
}

// The key that kept groups together; fits before it was noted need it again.
std::string group_key(const ExplainSource& source, const Json& run) {
  if (!source.group_by.empty() || !run.contains("group_by")) return source.group_by;
  return run["group_by"].is_string() ? run["group_by"].get<std::string>() : "";
}

// Values of a key, of the rows at these positions of the file.
Result<SliceKey> slice_values(const ExplainSource& source, const std::string& path, const std::string& key,
                              const std::vector<int64_t>& position) {
  io::TraceReaderOptions options = reader_options(source.input);
  options.group_by = key;
  TRACER_ASSIGN_OR_RETURN(auto reader, io::TraceReader::open(path, options));
  std::unordered_map<int64_t, std::string> values;
  while (true) {
    TRACER_ASSIGN_OR_RETURN(auto kind, reader.next());
    if (kind == io::RowKind::kEnd) break;
    if (kind == io::RowKind::kRow && reader.row().has_group) values.emplace(reader.row().position, reader.row().group);
  }
  if (values.empty()) return bad_input(path + ": no row has the key " + key + ", at the top level or in metadata");
  SliceKey out{key, {}};
  for (const int64_t at : position) {
    const auto found = values.find(at);
    out.value.push_back(found == values.end() ? "" : found->second);
  }
  return out;
}

struct Place {
  RowSource input;   // with traces and embeddings
  bool own = false;  // the log that the policy was fitted on
};

Result<Place> place_of(const ExplainSource& source, const LoadedPolicy& loaded) {
  const Provenance& from = loaded.artifact.provenance;
  Place place{source.input, false};
  const bool given = !source.input.traces.empty();
  if (!given) {
    place.input.traces = from.traces_path;
    if (!is_file(from.traces_path))
      return bad_input(loaded.folder + ": the log it was fitted on, " + shown(from.traces_path) + ", is not there" +
                       kGiveRows);
    if (place.input.embeddings.empty() && is_file(from.vectors_path)) place.input.embeddings = from.vectors_path;
  }
  if (!is_file(place.input.traces)) return place;  // a pipe is no log of ours; a missing file is named by who reads it
  TRACER_ASSIGN_OR_RETURN(auto digest, io::sha256_file(place.input.traces));
  place.own = digest == from.traces_sha256;
  if (!given && !place.own)
    return bad_input(loaded.folder + ": the log it was fitted on, " + shown(from.traces_path) + ", has changed" +
                     kGiveRows);
  return place;
}

}  // namespace

Result<UnseenRows> read_unseen(const ExplainSource& source, const LoadedPolicy& loaded, const Backend& backend,
                               const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto place, place_of(source, loaded));
  const RowSource& input = place.input;
  TRACER_ASSIGN_OR_RETURN(auto vectors, vectors_path(input));
  TRACER_ASSIGN_OR_RETURN(auto encoder, open_vectors(vectors, input, loaded, backend, events));
  const std::string group_by = place.own ? group_key(source, loaded.artifact.run) : "";
  TRACER_ASSIGN_OR_RETURN(auto file, read_log(input, group_by, input.rejects, true, events));
  TRACER_ASSIGN_OR_RETURN(
      auto read, read_or_embed(vectors, encoder.encoder ? &*encoder.encoder : nullptr, file, input.traces, events));
  if (source.curve && !place.own)
    return bad_input(option("curve") + " fits parts of the policy's own log and looks at its certify rows: leave " +
                     option("traces") + " out");
  const Policy& policy = loaded.artifact.policy;
  if (read.x.cols() != policy.dimension)
    return bad_input((vectors.empty() ? input.traces : vectors) + ": expected vectors of dimension " +
                     std::to_string(policy.dimension) + " as the policy was fitted on, found " +
                     std::to_string(read.x.cols()));
  std::vector<int32_t> rows(static_cast<size_t>(file.traces.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  UnseenRows out;
  std::optional<Split> split;
  if (place.own) {
    TRACER_ASSIGN_OR_RETURN(auto drawn, split_of_log(file, loaded, group_by));
    rows = drawn.certify;
    split = std::move(drawn);
  }
  out.path = input.traces;
  out.certify = place.own;
  out.labels = file.traces.labels, out.label = pick(file.traces.label, rows);
  out.teacher = translate_labels(out.label, out.labels, policy.labels);
  out.names = {pick(file.traces.line, rows), pick(file.traces.id, rows), pick(file.input, rows)};
  out.x = Matrix<float>(static_cast<int64_t>(rows.size()), read.x.cols());
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy_n(read.x.row(rows[i]), read.x.cols(), out.x.row(static_cast<int64_t>(i)));
  out.slices = {slices_by_length(out.names.input), slices_by_script(out.names.input)};
  if (!file.traces.timestamp.empty()) out.slices.push_back(slices_by_time(pick(file.traces.timestamp, rows)));
  for (const std::string& key : source.slice_keys) {
    TRACER_ASSIGN_OR_RETURN(auto slice, slice_values(source, input.traces, key, pick(file.position, rows)));
    out.slices.push_back(std::move(slice));
  }
  if (split && source.curve) out.log = OwnLog{std::move(file.traces), std::move(read.x), std::move(*split)};
  return out;
}

}  // namespace tracer
