#include "host/api/route.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "engine/policy/router.h"
#include "host/api/access.h"
#include "host/io/file.h"
#include "host/io/file_uses.h"
#include "host/io/json_format.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"
#include "host/io/plain_text.h"
#include "host/route/batch_reader.h"
#include "host/route/counts.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer {
namespace {

// The lines of one output.
class RouteFile {
 public:
  Status route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out);
  Json summary(const LoadedPolicy& loaded, const BatchReader& reader) const;
  std::string text(const LoadedPolicy& loaded) const;
  const ReasonCounts& counts() const { return counts_; }

 private:
  Status write(const LoadedPolicy& loaded, const ScoredBatch& scored, io::OutputStream& out);

  ReasonCounts counts_;
  CascadeCounts stages_;
  std::vector<std::string> label_;  // as JSON
  std::string threshold_;
};

// Lines of one batch.
Status RouteFile::write(const LoadedPolicy& loaded, const ScoredBatch& scored, io::OutputStream& out) {
  std::string line;
  const bool cascade = loaded.artifact.policy.text.has_value();
  for (size_t i = 0; i < scored.batch.rows.size(); ++i) {
    const RowBatch::Row& row = scored.batch.rows[i];
    const RowScore& score = scored.scores[i];
    const Reason reason = decide(score, loaded.rule);
    const bool handled = reason == Reason::kAccepted;
    counts_.add(reason);
    stages_.add(score, handled);
    line = "{\"id\":";
    line += row.id ? io::json_string(*row.id) : std::to_string(row.line);
    line += ",\"label\":";
    line += handled ? label_[score.features.label] : "null";
    line += handled ? ",\"decision\":\"handled\",\"score\":" : ",\"decision\":\"deferred\",\"score\":";
    line += io::json_number(score.score);
    line += ",\"threshold\":" + threshold_ + ",\"reason\":\"";
    line += to_string(reason);
    if (cascade) line += std::string("\",\"stage\":\"") + stage_name(score);
    line += "\"}";
    TRACER_RETURN_IF_ERROR(out.write_line(line));
  }
  return {};
}

Status RouteFile::route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out) {
  const Policy& p = loaded.artifact.policy;
  for (const std::string& l : p.labels) label_.push_back(io::json_string(l));
  threshold_ = io::json_number(loaded.certificate.threshold);
  return score_all(backend, loaded, reader, [&](const ScoredBatch& scored) { return write(loaded, scored, out); });
}

Json RouteFile::summary(const LoadedPolicy& loaded, const BatchReader& reader) const {
  Json document = {{"policy", loaded.artifact.digest},
                   {"alpha", loaded.certificate.alpha},
                   {"alpha_of_fit", loaded.artifact.policy.alpha},
                   {"threshold", loaded.certificate.threshold},
                   {"rows", counts_.rows()},
                   {"handled", counts_.handled()},
                   {"deferred", counts_.deferred()},
                   {"bad_rows", reader.rejects().count()},
                   {"warnings", loaded.warning.empty() ? Json::array() : Json::array({as_flags(loaded.warning)})}};
  if (loaded.artifact.policy.text) document["stages"] = stages_.json(false);
  return document;
}

std::string RouteFile::text(const LoadedPolicy& loaded) const {
  return counted(counts_.rows(), "row") + ": " + std::to_string(counts_.handled()) + " handled" +
         (loaded.artifact.policy.text ? " (" + stages_.handled_text() + ")" : "") + ", " +
         counts_.deferred_text(", ", ", ");
}

// A summary of other rows must not stand beside these.
Status remove_old(const std::string& sidecar) {
  if (sidecar.empty() || ::unlink(sidecar.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  return io::errno_error(sidecar, "cannot remove the old summary", errno);
}

}  // namespace

Result<RouteReport> route_file(const Device& device, const RouteRequest& request, const Events& events) {
  const RowSource& rows = request.source;
  const bool lasting = makes_regular_file(request.output);
  const std::string rejects = !rows.rejects.empty() ? rows.rejects
                              : lasting             ? request.output + ".rejects.jsonl"
                                                    : "rejects.jsonl";
  const std::string sidecar = lasting ? request.output + ".meta.json" : "";
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, vectors_path(rows));
  TRACER_RETURN_IF_ERROR(check_outputs({{option("output"), request.output},
                                        {option("rejects"), rejects},
                                        {"the summary of " + option("output") + ",", sidecar},
                                        {option("embed_cache"), rows.embed.cache}},
                                       {{"IN", rows.traces}, {option("embeddings"), vectors}}, request.policy.folder));
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded, load_policy(request.policy, events));
  Backend& backend = DeviceAccess::backend(device);
  TRACER_ASSIGN_OR_RETURN(const VectorSource source, open_vectors(vectors, rows, loaded, backend, events));
  TRACER_ASSIGN_OR_RETURN(BatchReader reader, BatchReader::open(rows, false, false, loaded.artifact.policy.dimension,
                                                                rejects, source, events));
  TRACER_RETURN_IF_ERROR(remove_old(sidecar));
  TRACER_ASSIGN_OR_RETURN(io::OutputStream out, io::OutputStream::open(request.output));
  RouteFile file;
  const Status routed = file.route(backend, loaded, reader, out);
  const bool regular = out.regular();
  const Status closed = out.close();  // what was routed before an error stays
  if (!routed.ok()) return routed;
  TRACER_RETURN_IF_ERROR(closed);
  RouteReport report;
  report.rows = file.counts().rows(), report.handled = file.counts().handled();
  report.deferred = report.rows - report.handled;
  report.bad_rows = reader.rejects().count();
  report.document = {json_text(file.summary(loaded, reader)), file.text(loaded) + "\n"};
  if (!sidecar.empty() && regular) TRACER_RETURN_IF_ERROR(io::write_file_atomic(sidecar, report.document.json));
  events.tell(file.text(loaded));
  if (report.bad_rows > 0)
    events.caution(counted(report.bad_rows, "row") + " could not be read, without a line in the output; first, " +
                   reader.rejects().first() + "; all of them in " + rejects);
  return report;
}

}  // namespace tracer
