#include "host/api/diff.h"

#include "engine/prove/figures.h"
#include "host/api/access.h"
#include "host/io/json_format.h"
#include "host/versions/diff.h"

namespace tracer {
namespace {

Result<DiffSides> load_sides(const DiffRequest& request) {
  DiffSides sides;
  TRACER_ASSIGN_OR_RETURN(sides[0], load_side(request.before, request.alpha));
  TRACER_ASSIGN_OR_RETURN(sides[1], load_side(request.after, request.alpha));
  return sides;
}

ComparedPolicy compared(const LoadedPolicy& side) {
  const Certificate& c = side.certificate;
  ComparedPolicy out;
  out.policy = side.artifact.digest;
  out.alpha = c.alpha, out.certified = c.certified;
  out.coverage = coverage(c);
  if (c.certified) out.agreement = agreement(c.n_agree, c.n_handled);
  out.agreement_lower = agreement_lower(c);
  return out;
}

DiffReport report_of(const DiffSides& sides, const Diff& diff) {
  DiffReport report{compared(sides[0]), compared(sides[1]), diff.change.gained, diff.change.lost, {}, {}};
  if (diff.names) {
    report.rows = diff.change.rows;
    report.before.handled = diff.change.handled[0], report.before.agree = diff.change.agree[0];
    report.after.handled = diff.change.handled[1], report.after.agree = diff.change.agree[1];
  }
  report.document = {json_text(diff_json(sides, diff)), diff_text(sides, diff)};
  return report;
}

}  // namespace

Result<DiffReport> compare_promises(const DiffRequest& request) {
  TRACER_ASSIGN_OR_RETURN(auto sides, load_sides(request));
  return report_of(sides, compare_labels_known(sides));
}

Result<DiffReport> compare_policies(const Device& device, const DiffRequest& request, const Events& events) {
  Backend& backend = DeviceAccess::backend(device);
  TRACER_ASSIGN_OR_RETURN(auto sides, load_sides(request));
  TRACER_RETURN_IF_ERROR(check_same_dimension(sides));
  RowFiles files;
  for (const std::string& folder : {request.before, request.after}) {
    TRACER_ASSIGN_OR_RETURN(files, row_files(request.source, option("traces"), {}, folder));
  }
  TRACER_RETURN_IF_ERROR(check_same_encoder(sides));
  // The side that may want their texts too.
  const LoadedPolicy& reads = sides[sides[1].artifact.policy.text ? 1 : 0];
  TRACER_ASSIGN_OR_RETURN(auto read, read_kept_rows(request.source, files, true, reads, backend, events));
  TRACER_ASSIGN_OR_RETURN(auto diff, compare_on_rows(backend, sides, std::move(read)));
  return report_of(sides, diff);
}

}  // namespace tracer
