#include "host/report/data.h"

#include "host/report/excerpt.h"
#include "tracer_version.h"

namespace tracer {

Json report_data(const Artifact& artifact, const Certificate& certificate, const std::string& folder, Json explanation,
                 Json map) {
  const Policy& p = artifact.policy;
  const Provenance& from = artifact.provenance;
  Json proof = certificate_json(certificate, p);
  proof.erase("labels"), proof.erase("below_label_floor");
  Json data = {{"tool", TRACER_VERSION},
               {"policy",
                {{"folder", folder},
                 {"traces", {{"path", from.traces_path}, {"rows", from.traces_rows}}},
                 {"labels", p.labels.size()},
                 {"alpha_of_fit", p.alpha},
                 {"simultaneous", p.simultaneous}}},
               {"certificate", std::move(proof)},
               {"frontier", artifact.frontier},
               {"warnings", artifact.explain.value("warnings", Json::array())},
               {"explain", std::move(explanation)},
               {"map", std::move(map)}};
  shorten_strings(data, kReportTextBytes);
  return data;
}

}  // namespace tracer
