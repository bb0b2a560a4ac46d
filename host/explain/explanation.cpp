#include "host/explain/explanation.h"

#include <algorithm>

#include "host/artifact/frontier_text.h"
#include "host/explain/growth_fits.h"
#include "host/explain/since_version.h"
#include "host/io/file_uses.h"
#include "host/io/json_format.h"
#include "host/io/output_stream.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

// The files that are read, which no output may overwrite. kIo where --traces is absent.
Result<std::vector<FileUse>> explain_inputs(const ExplainSource& source, const LoadedPolicy& loaded) {
  const Provenance& from = loaded.artifact.provenance;
  std::vector<FileUse> inputs = {{option("traces"), source.input.traces},
                                 {"the log of the policy", from.traces_path},
                                 {"the vectors of the policy", from.vectors_path}};
  if (source.input.traces.empty()) return inputs;
  TRACER_ASSIGN_OR_RETURN(auto vectors, vectors_path(source.input));
  inputs.push_back({option("embeddings"), vectors});
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

Result<LoadedPolicy> open_to_explain(const PolicyOptions& options, ExplainSource& source,
                                     std::vector<FileUse> outputs) {
  if (source.input.traces == "-" && !source.slice_keys.empty())
    return bad_option(
        "slice", option("slice") + " reads the rows a second time: give a file with " + option("traces") + ", not -");
  if (source.input.rejects.empty()) source.input.rejects = "rejects.jsonl";
  TRACER_ASSIGN_OR_RETURN(LoadedPolicy loaded, load_to_explain(options));
  if (source.curve)
    TRACER_RETURN_IF_ERROR(refuse_cascade(options.folder, loaded.artifact.policy, "explain " + option("curve")));
  TRACER_ASSIGN_OR_RETURN(const std::vector<FileUse> inputs, explain_inputs(source, loaded));
  outputs.push_back({option("rejects"), source.input.rejects});
  outputs.push_back({option("embed_cache"), source.input.embed.cache});
  TRACER_RETURN_IF_ERROR(check_outputs(outputs, inputs, options.folder));
  if (!source.since.empty()) TRACER_RETURN_IF_ERROR(check_outputs(outputs, inputs, source.since));
  return loaded;
}

Result<Explanation> explain_unseen(Backend& backend, const LoadedPolicy& loaded, const ExplainSource& source,
                                   const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto unseen, read_unseen(source, loaded, backend, events));
  Explanation out;
  ExplainedRows& e = out.rows;
  e.policy = &loaded.artifact.policy, e.certificate = &loaded.certificate;
  e.reference_ids = loaded.artifact.reference_ids;
  e.digest = loaded.artifact.digest;
  e.x = std::move(unseen.x);
  e.names = std::move(unseen.names), e.slice_keys = std::move(unseen.slices);
  TRACER_RETURN_IF_ERROR(backend.normalise_rows(e.x.view()));
  TRACER_RETURN_IF_ERROR(explain(backend, unseen.teacher, e));
  TRACER_ASSIGN_OR_RETURN(out.since, explain_since(backend, source, loaded, unseen, e, events));
  if (unseen.log) {
    TRACER_ASSIGN_OR_RETURN(out.growth, explain_growth(backend, loaded, *unseen.log, e, source.more, events));
  }
  out.path = unseen.path, out.certify = unseen.certify;
  out.as_learned = std::count_if(e.rows.begin(), e.rows.end(), [](const ExplainedRow& r) { return r.as_learned(); });
  if (!out.certify && 2 * out.as_learned > static_cast<int64_t>(e.rows.size()))
    events.caution(out.path + ": " + counted(out.as_learned, "row") + " of " + std::to_string(e.rows.size()) +
                   " have the vector of a trace that the policy learned from: were they part of its log? Figures "
                   "on such rows flatter");
  return out;
}

Status write_explained_rows(const ExplainedRows& e, const std::string& path) {
  TRACER_ASSIGN_OR_RETURN(auto out, io::OutputStream::open(path));
  for (int64_t i = 0; i < static_cast<int64_t>(e.rows.size()); ++i)
    TRACER_RETURN_IF_ERROR(out.write_line(json_line(explained_row_json(e, i))));
  return out.close();
}

Json explain_document(const Explanation& explanation, const Json& label) {
  Json document = {{"rows",
                    {{"kind", explanation.certify ? "certify" : "given"},
                     {"path", explanation.path},
                     {"as_learned", explanation.as_learned}}},
                   {"label", label}};
  document.update(sections_json(explanation.rows));
  document["learning_curve"] = of_label(explanation.growth, label);
  document["since"] = of_label(explanation.since, label);
  return document;
}

}  // namespace tracer
