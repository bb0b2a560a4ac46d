#include "host/artifact/fit_record.h"

#include <algorithm>

namespace tracer {

Json split_json(const FitResult& r) {
  return {{"kind", to_string(r.split.kind)},
          {"reason", r.split.reason},
          {"n_learn", r.split.learn.size()},
          {"n_certify", r.split.certify.size()},
          {"n_guard", r.split.unused.size()},
          {"folds", r.split.folds},
          {"unit", to_string(r.policy.certificates.empty() ? ProofUnit::kRows : r.policy.certificates[0].unit)},
          {"unit_reason", r.unit.reason}};
}

void add_asked(const Choices& asked, Json& run) {
  if (asked.members.any()) run["members"] = member_names(asked.members);
  if (asked.label_thresholds || asked.residual) {
    run["families"] = {"global", "l2d"};
    if (asked.label_thresholds) run["families"].push_back("l2d_label");
    if (asked.residual) run["families"].push_back("rsb");
  }
  if (asked.gate_share != kGateShare) run["gate_share"] = asked.gate_share;
}

Choices asked_of(const Json& run) {
  const auto names = [&](const char* list, const char* name) {
    return run.contains(list) && run[list].is_array() &&
           std::find(run[list].begin(), run[list].end(), Json(name)) != run[list].end();
  };
  Choices asked;
  asked.members = {names("members", "prototype"), names("members", "mlp"), names("members", "mlp2"),
                   names("members", "gbt")};
  asked.label_thresholds = names("families", "l2d_label");
  asked.residual = names("families", "rsb");
  if (run.contains("gate_share") && run["gate_share"].is_number())
    asked.gate_share = std::clamp(run["gate_share"].get<double>(), 0.0, 0.5);
  return asked;
}

Json described_json(const Descriptions& descriptions, int64_t labels) {
  return {{"rows", descriptions.label.size()}, {"labels_learned", labels}};
}

Json run_json(const FitResult& r, const FitOptions& o) {
  Json candidates = Json::array();
  for (const Candidate& c : r.candidates) {
    candidates.push_back({{"cost", c.cost},
                          {"kernel_weight", static_cast<double>(c.kernel_weight)},
                          {"vote_weight", static_cast<double>(c.vote_weight)},
                          {"log_loss", c.log_loss},
                          {"agreement", c.agreement},
                          {"coverage", c.coverage}});
    if (c.added) candidates.back()["networks"] = true;
  }
  Json run = {{"seed", o.split.seed},           {"certify_fraction", o.split.certify_fraction},
              {"min_coverage", o.min_coverage}, {"looks", o.looks},
              {"split", split_json(r)},         {"candidates", candidates}};
  if (o.approximate) run["approximate"] = true;
  add_asked(o.choices, run);
  if (o.descriptions != nullptr) run["descriptions"] = described_json(*o.descriptions, r.described);
  if (!r.policy.stages.empty()) {
    const size_t references = r.policy.stages[0].neighbours.label.size();
    if (references < r.split.learn.size()) run["references"] = {{"rows", references}, {"most", o.max_references}};
  }
  if (!r.cascade.empty()) {
    run["cascade"] = {{"tolerance", o.cascade_tolerance}, {"expected", Json::array()}};
    for (size_t a = 0; a < r.cascade.size(); ++a)
      run["cascade"]["expected"].push_back({{"alpha", r.policy.certificates[a].alpha},
                                            {"text_stage_share", r.cascade[a].share},
                                            {"coverage", r.cascade[a].coverage},
                                            {"coverage_alone", r.cascade[a].coverage_alone}});
  }
  if (o.budget_seconds) {
    run["budget_seconds"] = *o.budget_seconds;
    run["cut"] = r.cut;
    run["reproducible"] = r.cut.empty();
  }
  return run;
}

Json frontier_json(const Policy& policy) {
  Json frontier = Json::array();
  for (const Certificate& c : policy.certificates) frontier.push_back(frontier_entry(c));
  return frontier;
}

Json findings_json(const FitResult& r, const io::TraceFile& file) {
  const Traces& traces = file.traces;
  const Dependence& d = r.dependence;
  Json suspects = Json::array();
  for (const Suspect& s : r.suspects) {
    Json j = {{"row", file.position[s.row]},
              {"line", traces.line[s.row]},
              {"score", s.score},
              {"surrogate", traces.labels[s.surrogate]},
              {"teacher", traces.labels[s.teacher]}};
    if (!traces.id.empty() && !traces.id[s.row].empty()) j["id"] = traces.id[s.row];
    suspects.push_back(std::move(j));
  }
  return {{"dependence",
           {{"neighbour_share", d.neighbour_share},
            {"chance_share", d.chance_share},
            {"adjacent_share", d.adjacent_share},
            {"agreement_rows", d.agreement_rows},
            {"agreement_groups", d.agreement_groups},
            {"agreement_exchanged", d.agreement_exchanged},
            {"related", d.repelled || d.flattered}}},
          {"warnings", r.warnings},
          {"suspects", suspects}};
}

}  // namespace tracer
