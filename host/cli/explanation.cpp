#include "host/cli/explanation.h"

#include <algorithm>

#include "host/cli/explain_growth.h"
#include "host/cli/explain_since.h"
#include "host/cli/flags.h"
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
  TRACER_ASSIGN_OR_RETURN(auto vectors, vectors_path(source.input));
  inputs.push_back({"--embeddings", vectors});
  return inputs;
}

// kRefused when alpha was not part of the sweep, or when there was too little to learn from.
Result<LoadedPolicy> load_to_explain(const PolicyOptions& options) {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(options.folder));
  const double alpha = options.alpha.value_or(artifact.policy.alpha);
  const Certificate* c = artifact.policy.certificate(alpha);
  if (c == nullptr) return refused(options.folder + ": alpha " + number(alpha) + " was not part of the sweep");
  if (artifact.policy.stages.empty()) return refused(options.folder + ": there is nothing to explain: " + c->reason);
  LoadedPolicy loaded{options.folder, Artifact{}, *c, {}, ""};
  loaded.artifact = std::move(artifact);
  loaded.rule = decision_rule(loaded.artifact.policy, loaded.certificate);
  return loaded;
}

// Only that label among the section's labels; null: all of them.
Json of_label(Json section, const Json& label) {
  if (section.is_null() || label.is_null()) return section;
  Json kept = Json::array();
  for (const Json& l : section["labels"])
    if (l["label"] == label) kept.push_back(l);
  section["labels"] = std::move(kept);
  return section;
}

}  // namespace

void add_explain_source(Flags& app, ExplainSource& source) {
  app.add_option("--traces", source.input.traces,
                 "labelled rows (default: the log it was fitted on, of which only certify rows are used)");
  add_input_options(app, source.input, true);
  app.add_option("--group-by", source.group_by, "the key that fit was given, where it was");
  app.add_option("--slice", source.slice_keys, "key (of the row or its metadata) to slice by; may be repeated")
      ->one_value_each();
  Flag* curve =
      app.add_flag("--curve", source.curve, "fit parts of the log too, for what more traces would give (takes longer)");
  app.add_option("--more", source.more, "how many traces more the curve should tell of (default: as many as there are)")
      ->check(in_range(int64_t{1}, int64_t{1} << 40))
      ->needs(curve);
  app.add_option("--since", source.since,
                 "folder of an earlier policy to compare with (default: the version before, where update keeps them)");
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
  if (source.curve)
    if (const Status one = refuse_cascade(options.folder, opened->artifact.policy, "explain --curve"); !one.ok())
      return fail(console, one);
  loaded = std::move(opened).value();
  auto inputs = explain_inputs(source, loaded);
  if (!inputs.ok()) return fail(console, inputs.status());
  outputs.push_back({"--rejects", source.input.rejects});
  outputs.push_back({"--embed-cache", source.input.embed.cache});
  const std::string clash = check_outputs(outputs, *inputs, options.folder);
  if (!clash.empty()) return usage_error(console, clash);
  if (source.since.empty()) return std::nullopt;
  const std::string in_earlier = check_outputs(outputs, *inputs, source.since);
  if (!in_earlier.empty()) return usage_error(console, in_earlier);
  return std::nullopt;
}

Result<Explained> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                 const Console& console) {
  TRACER_ASSIGN_OR_RETURN(auto unseen, read_unseen(source, loaded, backend, console));
  Explained out;
  Explanation& e = out.explanation;
  e.policy = &loaded.artifact.policy, e.certificate = &loaded.certificate;
  e.reference_ids = loaded.artifact.reference_ids;
  e.digest = loaded.artifact.digest;
  e.x = std::move(unseen.x);
  e.names = std::move(unseen.names), e.slice_keys = std::move(unseen.slices);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(e.x.view()));
  TRACER_RETURN_IF_ERROR(explain(backend, unseen.teacher, e));
  TRACER_ASSIGN_OR_RETURN(out.since, explain_since(backend, source, loaded, unseen, e, console));
  if (unseen.log) {
    TRACER_ASSIGN_OR_RETURN(out.growth, explain_growth(backend, loaded, *unseen.log, e, source.more, console));
  }
  out.path = unseen.path, out.certify = unseen.certify;
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
  document["learning_curve"] = of_label(explained.growth, label);
  document["since"] = of_label(explained.since, label);
  return document;
}

}  // namespace tracer::cli
