// What the page of a report is drawn from: the explanation, the certificate beside it, and the map.
#pragma once

#include "host/artifact/artifact.h"

namespace tracer {

inline constexpr size_t kReportTextBytes = 400;  // of one text outside the map, as it is written

// explanation: the document of `tracer explain`, whose figures the page shows; map: report_map(). folder: what the
// policy is called. {"tool", "policy", "certificate", "frontier", "warnings", "explain", "map"}; long texts are cut.
Json report_data(const Artifact& artifact, const Certificate& certificate, const std::string& folder, Json explanation,
                 Json map);

}  // namespace tracer
