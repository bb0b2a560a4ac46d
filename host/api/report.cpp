#include "host/api/report.h"

#include "host/api/access.h"
#include "host/explain/explanation.h"
#include "host/io/file.h"
#include "host/io/json_format.h"
#include "host/report/data.h"
#include "host/report/map.h"
#include "host/report/report_text.h"

namespace tracer {
namespace {

PolicyReport report_of(const Artifact& artifact) {
  const Policy& p = artifact.policy;
  PolicyReport report;
  report.policy = artifact.digest;
  report.alpha = p.alpha, report.delta = p.delta, report.simultaneous = p.simultaneous;
  report.labels = static_cast<int64_t>(p.labels.size()), report.dimension = p.dimension;
  report.traces = artifact.provenance.traces_rows;
  report.document = {json_text(report_json(artifact)), report_text(artifact)};
  return report;
}

}  // namespace

Result<PolicyReport> report_policy(const std::string& folder) {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(folder));
  return report_of(artifact);
}

Result<ReportPage> make_report_page(const Device& device, const ReportPageRequest& request, const Events& events) {
  Backend& backend = DeviceAccess::backend(device);
  ExplainSource source = request.source;
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded,
                          open_to_explain(request.policy, source, {{option("html"), request.html}}));
  TRACER_ASSIGN_OR_RETURN(auto explanation, explain_unseen(backend, loaded, source, events));
  TRACER_ASSIGN_OR_RETURN(auto map, report_map(backend, map_rows(explanation.rows)));
  ReportPage page;
  page.html = bounded_page(loaded.artifact, loaded.certificate, request.policy.folder,
                           explain_document(explanation, nullptr), map);
  if (page.html.empty()) return internal_error("the page's digests could not be computed");
  if (!request.html.empty() && request.html != "-")
    TRACER_RETURN_IF_ERROR(io::write_file_atomic(request.html, page.html));
  page.report = report_of(loaded.artifact);
  return page;
}

}  // namespace tracer
