#include "host/versions/kept_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "host/encoder/log_vectors.h"
#include "host/io/plain_text.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

bool is_file(const std::string& path) {
  struct stat info {};
  return !path.empty() && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<KeptRows> rows_of_policy(const LoadedPolicy& loaded, const std::string& why, const Events& events) {
  const Policy& policy = loaded.artifact.policy;
  if (policy.stages.empty())
    return bad_input(loaded.folder + ": " + why + ", and the policy holds no rows itself: give the log with " +
                     option("traces"));
  const NeighbourMember& held = policy.stages[0].neighbours;
  events.caution(why + "; challengers learn from the " + counted(static_cast<int64_t>(held.label.size()), "row") +
                 " that the policy holds instead (" + option("traces") + " gives them the whole log)");
  KeptRows rows;
  rows.labels = policy.labels;
  rows.label = held.label;
  rows.text.assign(held.label.size(), 0);
  rows.name.assign(held.label.size(), 0);
  rows.provenance.assign(held.label.size(), io::RowOrigin::kTrace);
  rows.x = Matrix<float>(held.references.rows(), held.references.cols());
  std::copy_n(held.references.data(), held.references.size(), rows.x.data());
  return rows;
}

}  // namespace

Result<RowFiles> row_files(const RowSource& input, const std::string& rows, const std::vector<FileUse>& others,
                           const std::string& policy_folder) {
  RowFiles files;
  TRACER_ASSIGN_OR_RETURN(files.vectors, vectors_path(input));
  files.rejects = input.rejects.empty() ? "rejects.jsonl" : input.rejects;
  std::vector<FileUse> read = {{rows, input.traces}, {option("embeddings"), files.vectors}};
  read.insert(read.end(), others.begin(), others.end());
  TRACER_RETURN_IF_ERROR(check_outputs({{option("rejects"), files.rejects}, {option("embed_cache"), input.embed.cache}},
                                       read, policy_folder));
  return files;
}

Result<ReadRows> read_kept_rows(const RowSource& input, const RowFiles& files, bool provenance,
                                const LoadedPolicy& loaded, const Backend& backend, const Events& events) {
  const auto& [vectors, rejects] = files;
  TRACER_ASSIGN_OR_RETURN(auto source, open_vectors(vectors, input, loaded, backend, events));
  io::TraceReadOptions options;
  options.reader = reader_options(input);
  options.reader.read_timestamp = false;
  options.reader.read_provenance = provenance;
  options.rejects_path = rejects;
  options.max_bad_ratio = input.max_bad_ratio;
  options.keep_input = source.encoder.has_value() || loaded.artifact.policy.text.has_value();
  TRACER_ASSIGN_OR_RETURN(auto file, io::read_traces(input.traces, options));
  if (file.bad > 0)
    events.caution(std::to_string(file.bad) + " of " + std::to_string(file.positions) +
                   " rows could not be read and were left out; first, " + file.first_bad +
                   (rejects.empty() ? "" : "; all of them in " + rejects));
  TRACER_ASSIGN_OR_RETURN(
      auto read, read_or_embed(vectors, source.encoder ? &*source.encoder : nullptr, file, input.traces, events));
  if (const int64_t wanted = loaded.artifact.policy.dimension; read.x.cols() != wanted)
    return bad_input((vectors.empty() ? input.traces : vectors) + ": expected vectors of dimension " +
                     std::to_string(wanted) + " as the policy was fitted on, found " + std::to_string(read.x.cols()));
  ReadRows out{std::move(file), {}};
  const Traces& t = out.file.traces;
  out.rows.labels = t.labels;
  out.rows.label = t.label;
  out.rows.text = t.text_hash;
  out.rows.name = out.file.name;
  out.rows.provenance = out.file.provenance;
  if (!provenance) {
    out.rows.name.assign(t.label.size(), 0);
    out.rows.provenance.assign(t.label.size(), io::RowOrigin::kTrace);
  }
  out.rows.x = std::move(read.x);
  return out;
}

Result<KeptRows> original_rows(const OriginalLog& options, const RowSource& input, const LoadedPolicy& loaded,
                               const Backend& backend, const Events& events) {
  const Provenance& from = loaded.artifact.provenance;
  RowSource original = input;
  const bool given = !options.traces.empty();
  original.traces = given ? options.traces : from.traces_path;
  original.embeddings = options.embeddings;
  if (!given) {
    if (!is_file(original.traces))
      return rows_of_policy(loaded, "the log it was fitted on, " + shown(from.traces_path) + ", is not there", events);
    if (original.embeddings.empty() && is_file(from.vectors_path)) original.embeddings = from.vectors_path;
  }
  TRACER_ASSIGN_OR_RETURN(auto digest, io::sha256_file(original.traces));
  if (digest != from.traces_sha256) {
    if (given)
      return bad_input(original.traces + ": expected the log that " + loaded.folder + " was fitted on, sha256 " +
                       from.traces_sha256 + ", found " + digest);
    return rows_of_policy(loaded, "the log it was fitted on, " + shown(from.traces_path) + ", has changed", events);
  }
  TRACER_ASSIGN_OR_RETURN(auto vectors, vectors_path(original));
  TRACER_ASSIGN_OR_RETURN(auto read, read_kept_rows(original, {vectors, ""}, false, loaded, backend, events));
  return std::move(read.rows);
}

}  // namespace tracer
