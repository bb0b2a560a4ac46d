// The page of `tracer scan --html`.
#pragma once

#include <string>

#include "engine/study/scan.h"
#include "host/artifact/artifact.h"
#include "host/io/traces.h"

namespace tracer {

// document: scan_json() of this scan and log, whose figures the page shows; traces: what the log is called. Fewer than
// kMostPageBytes (host/report/data.h): texts are cut as short as that takes. Cost of the map: host/report/map.h.
Result<std::string> scan_html(Backend& backend, const Scan& scan, double alpha, const io::TraceFile& log,
                              const std::string& traces, const Json& document);

}  // namespace tracer
