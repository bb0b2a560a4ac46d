// Coverage against alpha of a policy: as figures, and as a page for a browser with all that explains it.
#pragma once

#include <cstdint>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/explain/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/status.h"

namespace tracer {

struct PolicyReport {
  std::string policy;  // digest
  double alpha = 0, delta = 0;
  bool simultaneous = false;  // the certificates of all alphas hold together
  int64_t labels = 0, dimension = 0;
  int64_t traces = 0;  // of the log that the policy was fitted on
  Document document;   // as `tracer report` prints it
};
// kBadInput for a policy that is not there, or damaged. Cost: reading the folder.
Result<PolicyReport> report_policy(const std::string& folder);

struct ReportPageRequest {
  PolicyOptions policy;  // alpha: the target that is explained
  ExplainSource source;  // of the page's figures, as for explain_policy()
  std::string html;      // the file that the page is written to; "" or "-": none
};
struct ReportPage {
  std::string html;  // one file that needs nothing else, of fewer than 2,000,000 bytes
  PolicyReport report;
};
// Errors, warnings and cost as explain_policy(), and that of the map (host/report/map.h) of at most 10,000 rows.
Result<ReportPage> make_report_page(const Device& device, const ReportPageRequest& request, const Events& events);

}  // namespace tracer
