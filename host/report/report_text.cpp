#include "host/report/report_text.h"

#include "engine/maths/percent.h"
#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"

namespace tracer {

Json report_json(const Artifact& artifact) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  return {{"policy", artifact.digest},
          {"alpha", p.alpha},
          {"delta", p.delta},
          {"simultaneous", p.simultaneous},
          {"labels", p.labels.size()},
          {"dimension", p.dimension},
          {"traces", {{"path", from.traces_path}, {"sha256", from.traces_sha256}, {"rows", from.traces_rows}}},
          {"run", artifact.run},
          {"deferred_labels", deferred_labels_json(p)},
          {"frontier", artifact.frontier},
          {"explain", artifact.findings}};
}

std::string report_text(const Artifact& artifact) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  std::string text = "policy fitted on " + counted(from.traces_rows, "trace") + " (" + shown(from.traces_path) + "), " +
                     counted(static_cast<int64_t>(p.labels.size()), "label") + ", asked for alpha " + number(p.alpha) +
                     ", delta " + number(p.delta) +
                     (p.simultaneous ? ", all targets together\n" : ", each target alone\n");
  if (!p.stages.empty() && !p.certificates.empty())
    if (const auto references = static_cast<int64_t>(p.stages[0].neighbours.label.size());
        references < p.certificates[0].n_learn)
      text += "neighbours are looked up among a sample of " + std::to_string(references) + " of " +
              std::to_string(p.certificates[0].n_learn) + " learn rows\n";
  text += frontier_table(artifact.frontier);
  text += deferred_labels_text(p);
  for (const Json& warning : artifact.findings.value("warnings", Json::array()))
    if (warning.is_string()) text += "warning: " + shown(warning.get<std::string>()) + "\n";
  const Json suspects = artifact.findings.value("suspects", Json::array());
  if (!suspects.empty()) text += "most certain disagreements (often the teacher's own mistakes):\n";
  int listed = 0;
  for (const Json& s : suspects) {
    if (++listed > 5 || !s.is_object()) break;
    text += "  line " + std::to_string(s.value("line", int64_t{0})) + ": teacher " + shown(s.value("teacher", "?")) +
            ", surrogate " + shown(s.value("surrogate", "?")) + " (" + percent(s.value("score", 0.0)) + " sure)\n";
  }
  return text;
}

}  // namespace tracer
