#include <charconv>

#include "engine/router.h"
#include "host/cli/command.h"
#include "host/cli/inputs.h"
#include "host/cli/policy_input.h"
#include "host/io/file.h"
#include "host/io/json_text.h"
#include "host/io/output_stream.h"

namespace tracer::cli {
namespace {

struct RouteCommand {
  Common common;
  PolicyOptions policy;
  InputOptions input;
  std::string output;

  int run();
  Status route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out);
  Status write_sidecar(const LoadedPolicy& loaded, const BatchReader& reader) const;

  int64_t rows_ = 0, handled_ = 0, below_ = 0, far_ = 0;
};

void append_number(std::string& line, double v) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  line.append(text, end);
}

Status RouteCommand::route(Backend& backend, const LoadedPolicy& loaded, BatchReader& reader, io::OutputStream& out) {
  const Policy& p = loaded.artifact.policy;
  const double threshold = loaded.certificate.threshold;
  std::vector<std::string> label;  // as JSON
  for (const std::string& l : p.labels) label.push_back(io::json_string(l));
  std::string threshold_text;
  append_number(threshold_text, threshold);

  RowBatch batch;
  std::vector<RowScore> scores;
  std::string line;
  while (true) {
    auto more = reader.next(backend, batch);
    if (!more.ok()) return more.status();
    if (!*more) return {};
    TRACER_RETURN_IF_ERROR(score_rows(backend, p.stages[0], batch.view(), scores));
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const RowBatch::Row& row = batch.rows[i];
      const Reason reason = decide(scores[i], threshold);
      const bool handled = reason == Reason::kAccepted;
      ++rows_, handled_ += handled;
      below_ += reason == Reason::kBelowThreshold, far_ += reason == Reason::kOutOfDistribution;
      line = "{\"id\":";
      line += row.id ? io::json_string(*row.id) : std::to_string(row.line);
      line += ",\"label\":";
      line += handled ? label[scores[i].features.label] : "null";
      line += handled ? ",\"decision\":\"handled\",\"score\":" : ",\"decision\":\"deferred\",\"score\":";
      append_number(line, scores[i].score);
      line += ",\"threshold\":" + threshold_text + ",\"reason\":\"";
      line += to_string(reason);
      line += "\"}";
      TRACER_RETURN_IF_ERROR(out.write_line(line));
    }
  }
}

Status RouteCommand::write_sidecar(const LoadedPolicy& loaded, const BatchReader& reader) const {
  const Json sidecar = {{"policy", loaded.artifact.digest},
                        {"alpha", loaded.certificate.alpha},
                        {"alpha_of_fit", loaded.artifact.policy.alpha},
                        {"threshold", loaded.certificate.threshold},
                        {"rows", rows_},
                        {"handled", handled_},
                        {"deferred", {{"below_threshold", below_}, {"out_of_distribution", far_}}},
                        {"bad_rows", reader.rejects().count()},
                        {"warnings", loaded.warning.empty() ? Json::array() : Json::array({loaded.warning})}};
  return io::write_file_atomic(output + ".meta.json", sidecar.dump(2) + "\n");
}

int RouteCommand::run() {
  const Console& console = common.console;
  auto loaded = load_policy(policy);
  if (!loaded.ok()) return fail(console, loaded.status());
  if (!loaded->warning.empty()) console.warn(loaded->warning);
  auto backend = open_backend(common);
  if (!backend.ok()) return fail(console, backend.status());
  const std::string rejects = !input.rejects.empty() ? input.rejects
                              : output == "-"        ? "rejects.jsonl"
                                                     : output + ".rejects.jsonl";
  auto reader = BatchReader::open(input, false, false, loaded->artifact.policy.dimension, rejects);
  if (!reader.ok()) return fail(console, reader.status());
  auto out = io::OutputStream::open(output);
  if (!out.ok()) return fail(console, out.status());
  const Status routed = route(**backend, *loaded, *reader, *out);
  const Status closed = out->close();  // what was routed before an error stays
  if (!routed.ok()) return fail(console, routed);
  if (!closed.ok()) return fail(console, closed);
  if (output != "-") {
    const Status sidecar = write_sidecar(*loaded, *reader);
    if (!sidecar.ok()) return fail(console, sidecar);
  }
  console.note(std::to_string(rows_) + " rows: " + std::to_string(handled_) + " handled, " + std::to_string(below_) +
               " below the threshold, " + std::to_string(far_) + " out of distribution");
  if (reader->rejects().count() == 0) return kExitOk;
  console.warn(std::to_string(reader->rejects().count()) +
               " rows could not be read and have no line in the output; first, " + reader->rejects().first() +
               "; all of them in " + rejects);
  return kExitPartial;
}

}  // namespace

void add_route(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<RouteCommand>();
  CLI::App* sub = app.add_subcommand("route", "answer or defer each row: one JSON line a row, in order");
  add_policy_options(*sub, command->policy);
  sub->add_option("IN", command->input.traces, "rows: JSONL or CSV, plain or gzip; - for standard input")->required();
  add_input_options(*sub, command->input, false);
  sub->add_option("-o,--output", command->output, "output file; - for standard output")->required();
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
