// Why a policy handles and why it defers, on rows that it never learned from.
#include <algorithm>
#include <optional>

#include "engine/label_index.h"
#include "host/cli/command.h"
#include "host/cli/explain_rows.h"
#include "host/cli/explain_text.h"
#include "host/cli/tables.h"
#include "host/explain/document.h"
#include "host/io/file.h"
#include "host/io/output_stream.h"

namespace tracer::cli {
namespace {

struct ExplainCommand {
  Common common;
  PolicyOptions policy;
  ExplainSource source;
  std::optional<std::string> label, output;
  std::string rows_path;

  int run();
  Result<LoadedPolicy> load() const;
  Status explain(const LoadedPolicy& loaded, Json& document) const;
  Status write_rows(const Explanation& e) const;
  std::string output_path() const { return output.value_or(common.console.json ? "" : "explain.json"); }
};

// A refused alpha is explained too: everything is deferred.
Result<LoadedPolicy> ExplainCommand::load() const {
  auto artifact = read_artifact(policy.folder);
  if (!artifact.ok()) return artifact.status();
  const double alpha = policy.alpha.value_or(artifact->policy.alpha);
  const Certificate* c = artifact->policy.certificate(alpha);
  if (c == nullptr) return refused(policy.folder + ": alpha " + number(alpha) + " was not part of the sweep");
  if (artifact->policy.stages.empty()) return refused(policy.folder + ": there is nothing to explain: " + c->reason);
  LoadedPolicy loaded{policy.folder, Artifact{}, *c, {}, ""};
  loaded.artifact = std::move(artifact).value();
  loaded.rule = decision_rule(loaded.artifact.policy, loaded.certificate);
  return loaded;
}

Status ExplainCommand::write_rows(const Explanation& e) const {
  auto out = io::OutputStream::open(rows_path);
  if (!out.ok()) return out.status();
  for (int64_t i = 0; i < static_cast<int64_t>(e.rows.size()); ++i)
    TRACER_RETURN_IF_ERROR(
        out->write_line(explained_row_json(e, i).dump(-1, ' ', false, Json::error_handler_t::replace)));
  return out->close();
}

Status ExplainCommand::explain(const LoadedPolicy& loaded, Json& document) const {
  const Policy& p = loaded.artifact.policy;
  int32_t wanted = -1;
  if (label) {
    wanted = label_index(p.labels, *label);
    if (wanted < 0) return bad_input("--label: " + loaded.folder + " knows no label \"" + shown(*label) + "\"");
  }
  auto backend = open_backend(common);
  if (!backend.ok()) return backend.status();
  auto unseen = read_unseen(source, loaded, (*backend)->threads(), common.console);
  if (!unseen.ok()) return unseen.status();
  Explanation e;
  e.artifact = &loaded.artifact, e.certificate = &loaded.certificate;
  e.x = std::move(unseen->x);
  TRACER_RETURN_IF_ERROR((*backend)->normalise_rows(e.x.view()));
  auto rows = explain_rows(**backend, p, loaded.certificate, e.x.view(), unseen->teacher);
  if (!rows.ok()) return rows.status();
  e.rows = std::move(rows).value();
  e.names = std::move(unseen->names), e.slice_keys = std::move(unseen->slices);
  e.reasons = find_reasons(p, loaded.certificate, e.rows);
  auto regions = find_regions(**backend, e.x.view());
  if (!regions.ok()) return regions.status();
  e.regions = std::move(regions).value();
  const auto seen = std::count_if(e.rows.begin(), e.rows.end(), [](const ExplainedRow& r) { return r.as_learned(); });
  if (!unseen->certify && 2 * seen > static_cast<int64_t>(e.rows.size()))
    common.console.warn(unseen->path + ": " + counted(seen, "row") + " of " + std::to_string(e.rows.size()) +
                        " have the vector of a trace that the policy learned from: were they part of its log? Figures "
                        "on such rows flatter");
  if (!rows_path.empty()) TRACER_RETURN_IF_ERROR(write_rows(e));
  if (label) keep_label(e, wanted);
  document = {{"rows", {{"kind", unseen->certify ? "certify" : "given"}, {"path", unseen->path}, {"as_learned", seen}}},
              {"label", label ? Json(*label) : Json(nullptr)}};
  document.update(explanation_json(e));
  if (output_path().empty()) return {};
  return io::write_file_atomic(output_path(), document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

int ExplainCommand::run() {
  const Console& console = common.console;
  if (source.input.traces == "-" && !source.slice_keys.empty())
    return usage_error(console, "--slice reads the rows a second time: give a file with --traces, not -");
  if (source.input.rejects.empty()) source.input.rejects = "rejects.jsonl";
  auto loaded = load();
  if (!loaded.ok()) return fail(console, loaded.status());
  const Provenance& from = loaded->artifact.provenance;
  std::vector<FileUse> inputs = {{"--traces", source.input.traces},
                                 {"the log of the policy", from.traces_path},
                                 {"the vectors of the policy", from.vectors_path}};
  if (!source.input.traces.empty()) {
    auto vectors = vectors_path(source.input);
    if (!vectors.ok()) return fail(console, vectors.status());
    inputs.push_back({"--embeddings", *vectors});
  }
  const std::string clash = check_outputs(
      {{"--output", output_path()}, {"--rows", rows_path}, {"--rejects", source.input.rejects}}, inputs, policy.folder);
  if (!clash.empty()) return usage_error(console, clash);
  Json document;
  if (const Status done = explain(*loaded, document); !done.ok()) return fail(console, done);
  if (console.json) return console.print_json(document, kExitOk);
  return console.print(explain_text(document) + "all of it in " + shown(output_path()) + "\n") ? kExitOk : kExitRuntime;
}

}  // namespace

void add_explain(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<ExplainCommand>();
  CLI::App* sub =
      app.add_subcommand("explain", "why a policy handles and why it defers, on rows it never learned from");
  add_policy_options(*sub, command->policy);
  sub->add_option("--traces", command->source.input.traces,
                  "labelled rows (default: the log it was fitted on, of which only certify rows are used)");
  add_input_options(*sub, command->source.input, true);
  sub->add_option("--group-by", command->source.group_by, "the key that fit was given, where it was");
  sub->add_option("--slice", command->source.slice_keys,
                  "key (of the row or its metadata) to slice by; may be repeated")
      ->allow_extra_args(false);
  sub->add_option("--label", command->label, "only rows that the teacher or the surrogate gives this label");
  sub->add_option("-o,--output", command->output,
                  "file of the whole explanation (default: explain.json; with --json none)");
  sub->add_option("--rows", command->rows_path, "write a JSON line for each row to this file");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
