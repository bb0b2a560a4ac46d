#include "host/cli/explanation.h"

#include <algorithm>

#include "host/cli/tables.h"

namespace tracer::cli {
namespace {

// The files that are read, which no output may overwrite. kIo where --traces is absent.
Result<std::vector<FileUse>> explain_inputs(const ExplainSource& source, const LoadedPolicy& loaded) {
  const Provenance& from = loaded.artifact.provenance;
  std::vector<FileUse> inputs = {{"--traces", source.input.traces},
                                 {"the log of the policy", from.traces_path},
                                 {"the vectors of the policy", from.vectors_path}};
  if (source.input.traces.empty()) return inputs;
  auto vectors = vectors_path(source.input);
  if (!vectors.ok()) return vectors.status();
  inputs.push_back({"--embeddings", *vectors});
  return inputs;
}

// kRefused when alpha was not part of the sweep, or when there was too little to learn from.
Result<LoadedPolicy> load_to_explain(const PolicyOptions& options) {
  auto artifact = read_artifact(options.folder);
  if (!artifact.ok()) return artifact.status();
  const double alpha = options.alpha.value_or(artifact->policy.alpha);
  const Certificate* c = artifact->policy.certificate(alpha);
  if (c == nullptr) return refused(options.folder + ": alpha " + number(alpha) + " was not part of the sweep");
  if (artifact->policy.stages.empty()) return refused(options.folder + ": there is nothing to explain: " + c->reason);
  LoadedPolicy loaded{options.folder, Artifact{}, *c, {}, ""};
  loaded.artifact = std::move(artifact).value();
  loaded.rule = decision_rule(loaded.artifact.policy, loaded.certificate);
  return loaded;
}

}  // namespace

void add_explain_source(CLI::App& app, ExplainSource& source) {
  app.add_option("--traces", source.input.traces,
                 "labelled rows (default: the log it was fitted on, of which only certify rows are used)");
  add_input_options(app, source.input, true);
  app.add_option("--group-by", source.group_by, "the key that fit was given, where it was");
  app.add_option("--slice", source.slice_keys, "key (of the row or its metadata) to slice by; may be repeated")
      ->allow_extra_args(false);
}

std::string source_fault(const ExplainSource& source) {
  if (source.input.traces == "-" && !source.slice_keys.empty())
    return "--slice reads the rows a second time: give a file with --traces, not -";
  return "";
}

std::optional<int> open_to_explain(const PolicyOptions& options, ExplainSource& source, std::vector<FileUse> outputs,
                                   const Console& console, LoadedPolicy& loaded) {
  if (source.input.rejects.empty()) source.input.rejects = "rejects.jsonl";
  auto opened = load_to_explain(options);
  if (!opened.ok()) return fail(console, opened.status());
  if (const Status one = refuse_cascade(options.folder, opened->artifact.policy, "explain` or `tracer report --html");
      !one.ok())
    return fail(console, one);
  loaded = std::move(opened).value();
  auto inputs = explain_inputs(source, loaded);
  if (!inputs.ok()) return fail(console, inputs.status());
  outputs.push_back({"--rejects", source.input.rejects});
  outputs.push_back({"--embed-cache", source.input.embed.cache});
  const std::string clash = check_outputs(outputs, *inputs, options.folder);
  if (!clash.empty()) return usage_error(console, clash);
  return std::nullopt;
}

Result<Explained> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                 const Console& console) {
  auto unseen = read_unseen(source, loaded, backend.threads(), console);
  if (!unseen.ok()) return unseen.status();
  Explained out;
  Explanation& e = out.explanation;
  e.policy = &loaded.artifact.policy, e.certificate = &loaded.certificate;
  e.reference_ids = loaded.artifact.reference_ids;
  e.digest = loaded.artifact.digest;
  e.x = std::move(unseen->x);
  e.names = std::move(unseen->names), e.slice_keys = std::move(unseen->slices);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(e.x.view()));
  TRACER_RETURN_IF_ERROR(explain(backend, unseen->teacher, e));
  out.path = unseen->path, out.certify = unseen->certify;
  out.as_learned = std::count_if(e.rows.begin(), e.rows.end(), [](const ExplainedRow& r) { return r.as_learned(); });
  if (!out.certify && 2 * out.as_learned > static_cast<int64_t>(e.rows.size()))
    console.warn(out.path + ": " + counted(out.as_learned, "row") + " of " + std::to_string(e.rows.size()) +
                 " have the vector of a trace that the policy learned from: were they part of its log? Figures "
                 "on such rows flatter");
  return out;
}

Json explain_document(const Explained& explained, const Json& label) {
  Json document = {{"rows",
                    {{"kind", explained.certify ? "certify" : "given"},
                     {"path", explained.path},
                     {"as_learned", explained.as_learned}}},
                   {"label", label}};
  document.update(explanation_json(explained.explanation));
  return document;
}

}  // namespace tracer::cli
