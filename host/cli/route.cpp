#include <unistd.h>

#include <cerrno>

#include "engine/policy/router.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/cli/shared_flags.h"
#include "host/encoder/source.h"
#include "host/io/file.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"
#include "host/route/batch_reader.h"
#include "host/route/counts.h"
#include "host/route/opened_policy.h"
#include "host/route/scoring.h"

namespace tracer::cli {
namespace {

struct RouteCommand {
  Common common;
  PolicyOptions policy;
  RowSource input;
  std::string output;

  int run();
  Status write(const LoadedPolicy& loaded, const ScoredBatch& scored, io::OutputStream& out);
  Status route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out);
  Json summary(const LoadedPolicy& loaded, const BatchReader& reader) const;

  ReasonCounts counts_;
  CascadeCounts stages_;
  std::vector<std::string> label_;  // as JSON
  std::string threshold_;
};

// Lines of one batch.
Status RouteCommand::write(const LoadedPolicy& loaded, const ScoredBatch& scored, io::OutputStream& out) {
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

Status RouteCommand::route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out) {
  const Policy& p = loaded.artifact.policy;
  for (const std::string& l : p.labels) label_.push_back(io::json_string(l));
  threshold_ = io::json_number(loaded.certificate.threshold);
  return score_all(backend, loaded, reader, [&](const ScoredBatch& scored) { return write(loaded, scored, out); });
}

Json RouteCommand::summary(const LoadedPolicy& loaded, const BatchReader& reader) const {
  Json document = {{"policy", loaded.artifact.digest},
                   {"alpha", loaded.certificate.alpha},
                   {"alpha_of_fit", loaded.artifact.policy.alpha},
                   {"threshold", loaded.certificate.threshold},
                   {"rows", counts_.rows()},
                   {"handled", counts_.handled()},
                   {"deferred", counts_.deferred()},
                   {"bad_rows", reader.rejects().count()},
                   {"warnings", loaded.warning.empty() ? Json::array() : Json::array({loaded.warning})}};
  if (loaded.artifact.policy.text) document["stages"] = stages_.json(false);
  return document;
}

int RouteCommand::run() {
  const Console& console = common.console;
  const bool lasting = makes_regular_file(output);
  const std::string rejects = !input.rejects.empty() ? input.rejects
                              : lasting              ? output + ".rejects.jsonl"
                                                     : "rejects.jsonl";
  const std::string sidecar = lasting ? output + ".meta.json" : "";
  if (console.json && output == "-")
    return usage_error(console, "--json and -o - both want standard output; give -o a file");
  auto vectors = vectors_path(input);
  if (!vectors.ok()) return fail(console, vectors.status());
  const Status clash = check_outputs({{option("output"), output},
                                      {option("rejects"), rejects},
                                      {"the summary of -o,", sidecar},
                                      {option("embed_cache"), input.embed.cache}},
                                     {{"IN", input.traces}, {option("embeddings"), *vectors}}, policy.folder);
  if (!clash.ok()) return fail(console, clash);
  auto loaded = load_policy(policy, events_of(console));
  if (!loaded.ok()) return fail(console, loaded.status());
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  auto source = open_vectors(*vectors, input, *loaded, **backend, events_of(console));
  if (!source.ok()) return fail(console, source.status());
  auto reader =
      BatchReader::open(input, false, false, loaded->artifact.policy.dimension, rejects, *source, events_of(console));
  if (!reader.ok()) return fail(console, reader.status());
  // A summary of other rows must not stand beside these.
  if (!sidecar.empty() && ::unlink(sidecar.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
    return fail(console, io::errno_error(sidecar, "cannot remove the old summary", errno));
  auto out = io::OutputStream::open(output);
  if (!out.ok()) return fail(console, out.status());
  const Status routed = route(**backend, *loaded, *reader, *out);
  const bool regular = out->regular();
  const Status closed = out->close();  // what was routed before an error stays
  if (!routed.ok()) return fail(console, routed);
  if (!closed.ok()) return fail(console, closed);
  const Json document = summary(*loaded, *reader);
  if (!sidecar.empty() && regular) {
    const Status written = io::write_file_atomic(sidecar, json_text(document));
    if (!written.ok()) return fail(console, written);
  }
  console.note(counted(counts_.rows(), "row") + ": " + std::to_string(counts_.handled()) + " handled" +
               (loaded->artifact.policy.text ? " (" + stages_.handled_text() + ")" : "") + ", " +
               counts_.deferred_text(", ", ", "));
  const int64_t bad = reader->rejects().count();
  if (bad > 0)
    console.warn(counted(bad, "row") + " could not be read, without a line in the output; first, " +
                 reader->rejects().first() + "; all of them in " + rejects);
  const int code = bad > 0 ? kExitPartial : kExitOk;
  return console.json ? console.print_json(document, code) : code;
}

}  // namespace

void add_route(Flags& app, int& exit_code) {
  auto command = std::make_shared<RouteCommand>();
  Flags* sub = app.add_subcommand("route", "answer or defer each row: one JSON line a row, in order");
  add_policy_options(*sub, command->policy);
  sub->add_option("IN", command->input.traces, "rows: JSONL or CSV, plain or gzip; - for standard input")->required();
  add_input_options(*sub, command->input, false);
  sub->add_option("-o,--output", command->output, "output file; - for standard output")->required();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
