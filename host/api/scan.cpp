#include "host/api/scan.h"

#include <optional>
#include <utility>

#include "engine/study/scan.h"
#include "host/api/fit_request.h"
#include "host/api/log_access.h"
#include "host/io/file.h"
#include "host/io/json_format.h"
#include "host/io/plain_text.h"
#include "host/report/scan_page.h"
#include "host/report/scan_report.h"

namespace tracer {
namespace {

Result<ScanOptions> scan_options(const ScanRequest& request) {
  FitOptions fit;
  TRACER_RETURN_IF_ERROR(read_split(request.split, request.source.group_by, fit));
  ScanOptions o;
  o.alpha = request.alpha, o.sweep = request.sweep, o.delta = request.delta, o.min_coverage = fit.min_coverage;
  o.unit = fit.unit, o.split = fit.split, o.max_references = fit.max_references;
  return o;
}

std::optional<double> mean_bytes(const std::vector<std::string>& texts) {
  if (texts.empty()) return std::nullopt;
  double bytes = 0;
  for (const std::string& text : texts) bytes += static_cast<double>(text.size());
  return bytes / static_cast<double>(texts.size());
}

Status check_files(const ScanRequest& request, const std::string& vectors) {
  if (request.html == "-" && request.output == "-")
    return bad_option("html", "two outputs want standard output; give " + option("html") + " a file");
  const RowSource& rows = request.source.rows;
  return check_outputs({{option("output"), request.output},
                        {option("html"), request.html},
                        {option("rejects"), rejects_of(rows)},
                        {option("embed_cache"), rows.embed.cache}},
                       {{"TRACES", rows.traces}, {option("embeddings"), vectors}}, "");
}

}  // namespace

Result<ScanReport> scan_log(const Device& device, const ScanRequest& request, const Events& events) {
  TRACER_ASSIGN_OR_RETURN(const ScanOptions options, scan_options(request));
  if (request.prices.calls_per_day && !request.prices.in && !request.prices.out)
    return bad_option("calls_per_day", option("calls_per_day") + " tells a saving: give " + option("price_in") +
                                           " and " + option("price_out") + " too");
  TRACER_ASSIGN_OR_RETURN(const std::string vectors, find_vectors(request.source));
  TRACER_RETURN_IF_ERROR(check_files(request, vectors));
  Backend& backend = DeviceAccess::backend(device);
  LogSource keeping = request.source;
  keeping.keep_texts = true;
  TRACER_ASSIGN_OR_RETURN(const auto log, read_log_rows(backend, keeping, vectors, events));
  const io::TraceFile& file = log->file;
  const std::string& name = request.source.rows.traces;
  if (const int64_t fewest = fewest_scan_rows(options); file.traces.rows() < fewest && !request.force)
    return refused(name + ": " + counted(file.traces.rows(), "row") + "; a scan at agreement " + number(options.alpha) +
                   " says something from " + std::to_string(fewest) + " on (" + option("force") + " scans anyway)");
  TRACER_RETURN_IF_ERROR(read_log_vectors(*log, events));
  TRACER_ASSIGN_OR_RETURN(Scan scanned, scan(backend, file.traces, std::move(log->vectors.x), options));
  for (std::string& warning : scanned.warnings) {
    warning = as_flags(warning);
    events.caution(warning);
  }
  const Json document = scan_json(scanned, options, file, request.prices, mean_bytes(file.input));
  ScanReport report;
  report.certified = document.at("certified").get<bool>();
  report.warnings = scanned.warnings;
  report.document = {json_text(document), scan_text(document)};
  if (!request.output.empty() && request.output != "-")
    TRACER_RETURN_IF_ERROR(io::write_file_atomic(request.output, report.document.json));
  if (request.html.empty()) return report;
  TRACER_ASSIGN_OR_RETURN(report.page, scan_html(backend, scanned, request.alpha, file, name, document));
  if (request.html != "-") TRACER_RETURN_IF_ERROR(io::write_file_atomic(request.html, report.page));
  return report;
}

}  // namespace tracer
