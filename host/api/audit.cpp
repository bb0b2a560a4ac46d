#include "host/api/audit.h"

#include "engine/prove/figures.h"
#include "host/api/access.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"
#include "host/versions/audit.h"

namespace tracer {

Result<AuditReport> audit_policy(const Device& device, const AuditRequest& request, const Events& events) {
  Backend& backend = DeviceAccess::backend(device);
  TRACER_ASSIGN_OR_RETURN(auto files, row_files(request.source, "AUDITED", {}, request.policy.folder));
  TRACER_ASSIGN_OR_RETURN(auto loaded, load_policy(request.policy, events));
  TRACER_ASSIGN_OR_RETURN(auto read, read_kept_rows(request.source, files, true, loaded, backend, events));
  const double delta = request.delta.value_or(loaded.artifact.policy.delta);
  TRACER_ASSIGN_OR_RETURN(const AuditFigures found, watch_agreement(backend, loaded, read, delta));
  if (found.biased > 0)
    events.caution(counted(found.biased, "row") + " not of provenance \"audit\" left out: no fair sample");
  if (found.of_others > 0) events.caution(counted(found.of_others, "row") + " of another policy left out");

  const AuditBounds& bounds = found.bounds;
  AuditReport report;
  report.alarm = bounds.alarm();
  report.alarm_at = bounds.alarm_at();
  report.alpha = found.alpha, report.delta = found.delta;
  report.audit_rows = found.audited, report.unanswered = found.unanswered;
  report.handled = bounds.rows(), report.agree = bounds.rows() - bounds.disagreements();
  report.agreement = agreement(report.agree, report.handled);
  report.agreement_lower = bounds.lower(), report.agreement_upper = bounds.upper();
  report.document = {json_text(audit_json(found)), audit_text(found)};
  return report;
}

}  // namespace tracer
