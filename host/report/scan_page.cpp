#include "host/report/scan_page.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/pick.h"
#include "host/io/excerpt.h"
#include "host/report/data.h"
#include "host/report/map.h"
#include "host/report/page.h"
#include "host/report/scan_report.h"
#include "tracer_version.h"

namespace tracer {
namespace {

constexpr size_t kFewestTextBytes = 10;

// The certify rows; null where there are none.
Result<Json> map_of(Backend& backend, const Scan& scan, double alpha, const io::TraceFile& log) {
  if (scan.vote.empty()) return Json(nullptr);
  const std::vector<int32_t>& rows = scan.split.certify;
  const io::RowNames names{pick(log.traces.line, rows), pick(log.traces.id, rows), pick(log.input, rows)};
  const Certificate* asked = find_certificate(scan.certificates, alpha);
  MapRows map;
  map.x = scan.x.view(), map.names = &names, map.labels = &log.traces.labels;
  map.teacher = pick(log.traces.label, rows), map.surrogate = scan.vote, map.score = scan.score;
  map.whys = {"handled", "deferred"};
  for (const double score : scan.score)
    map.why.push_back(asked != nullptr && asked->certified && score > asked->threshold ? 0 : 1);
  const std::vector<size_t> order = cells_by_agreement(scan);
  std::vector<int32_t> place(order.size());
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int32_t>(i);
  if (!place.empty())
    for (const int32_t r : scan.regions.region) map.region.push_back(place[static_cast<size_t>(r)]);
  return report_map(backend, map);
}

}  // namespace

Result<std::string> scan_html(Backend& backend, const Scan& scan, double alpha, const io::TraceFile& log,
                              const std::string& traces, const Json& document) {
  TRACER_ASSIGN_OR_RETURN(auto map, map_of(backend, scan, alpha, log));
  std::string page;
  for (PageLimits limits;; limits.text_bytes /= 2, limits.map_bytes /= 2) {
    Json data = {{"tool", TRACER_VERSION}, {"traces", traces}, {"scan", document}, {"map", map}};
    shorten_strings(data["map"], limits.map_bytes);
    shorten_strings(data, limits.text_bytes);
    page = scan_page(data);
    if (page.size() < kMostPageBytes || limits.map_bytes <= kFewestTextBytes) break;
  }
  if (page.empty()) return internal_error("the page's digests could not be computed");
  return page;
}

}  // namespace tracer
