#include "host/api/update.h"

#include "host/api/access.h"
#include "host/io/json_format.h"
#include "host/versions/update.h"

namespace tracer {

Result<UpdateReport> update_policy(const Device& device, const UpdateRequest& request, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(auto files, row_files(request.source, "NEW",
                                                {{option("traces"), request.original.traces},
                                                 {option("traces_embeddings"), request.original.embeddings}},
                                                request.folder));
  TRACER_ASSIGN_OR_RETURN(auto update,
                          Update::open(DeviceAccess::backend(device), request.folder, request.delta, events));
  UpdateOutcome out;
  TRACER_ASSIGN_OR_RETURN(out.rows, update.take_in(request.source, files, request.original));
  TRACER_ASSIGN_OR_RETURN(out.judgement, update.judge(request.patience, request.drop));
  TRACER_ASSIGN_OR_RETURN(out.next, update.freeze());
  out.champion = update.champion();
  out.policy = update.digest();

  UpdateReport report;
  report.decision = out.decision();
  report.champion = out.champion;
  report.policy = out.policy;
  report.taken = out.rows.taken;
  report.new_labels = out.rows.new_labels;
  if (out.judgement) report.judged = out.judgement->version.number, report.audit_rows = out.judgement->audited;
  if (out.next) report.next = out.next->version;
  report.document = {json_text(update_json(out)), update_text(out)};
  return report;
}

}  // namespace tracer
