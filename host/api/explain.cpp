#include "host/api/explain.h"

#include "engine/log/label_index.h"
#include "host/api/access.h"
#include "host/explain/explanation.h"
#include "host/explain/text.h"
#include "host/io/file.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

// The label's index; -1 where none is asked for.
Result<int32_t> wanted_label(const ExplainRequest& request, const LoadedPolicy& loaded) {
  if (!request.label) return -1;
  const int32_t label = label_index(loaded.artifact.policy.labels, *request.label);
  if (label >= 0) return label;
  return bad_input(option("label") + ": " + loaded.folder + " knows no label \"" + shown(*request.label) + "\"");
}

std::optional<double> figure_of(const Json& value) {
  return value.is_number() ? std::optional<double>(value.get<double>()) : std::nullopt;
}

ExplainReport report_of(const Json& document) {
  ExplainReport report;
  report.policy = document["policy"].get<std::string>();
  report.alpha = document["alpha"].get<double>();
  report.certified = document["certified"].get<bool>();
  report.certify_rows = document["rows"]["kind"] == "certify";
  report.rows = document["n"].get<int64_t>();
  report.handled = document["n_handled"].get<int64_t>();
  report.agree = document["n_agree"].get<int64_t>();
  report.coverage = figure_of(document["coverage"]);
  report.agreement = figure_of(document["teacher_agreement"]);
  report.agreement_lower = figure_of(document["teacher_agreement_lower"]);
  report.document = {json_text(document), explain_text(document)};
  return report;
}

}  // namespace

Result<ExplainReport> explain_policy(const Device& device, const ExplainRequest& request, const Events& events) {
  ExplainSource source = request.source;
  TRACER_ASSIGN_OR_RETURN(const LoadedPolicy loaded,
                          open_to_explain(request.policy, source,
                                          {{option("output"), request.output}, {option("rows"), request.rows_output}}));
  TRACER_ASSIGN_OR_RETURN(const int32_t label, wanted_label(request, loaded));
  TRACER_ASSIGN_OR_RETURN(auto explanation, explain_unseen(DeviceAccess::backend(device), loaded, source, events));
  if (!request.rows_output.empty()) TRACER_RETURN_IF_ERROR(write_explained_rows(explanation.rows, request.rows_output));
  if (request.label) keep_label(explanation.rows, label);
  ExplainReport report = report_of(explain_document(explanation, request.label ? Json(*request.label) : Json(nullptr)));
  if (!request.output.empty() && request.output != "-")
    TRACER_RETURN_IF_ERROR(io::write_file_atomic(request.output, report.document.json));
  return report;
}

}  // namespace tracer
