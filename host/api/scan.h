// Before any training: how much of a log could be handled, where, and what it would save.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/api/fit.h"
#include "host/api/log.h"
#include "host/io/events.h"
#include "host/report/prices.h"
#include "kernels/status.h"

namespace tracer {

struct ScanRequest {
  LogSource source;
  double alpha = 0.95;  // agreement to prove
  std::vector<double> sweep = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};
  double delta = 0.05;  // chance that a proof is wrong
  SplitRequest split;
  CallPrices prices;
  bool force = false;  // scan a log that is too short to prove much
  std::string output;  // file of the JSON document; "": none, "-": the caller prints it
  std::string html;    // file of the page; "": none, "-": the page is returned
};

struct ScanReport {
  bool certified = false;  // something is proved at alpha
  std::vector<std::string> warnings;
  std::string page;  // if html is "-"
  Document document;
};

// kRefused: the log is too short (`force` scans it). Otherwise errors as read_log and fit_policy. Deterministic for any
// number of threads. Cost: engine/study/scan.h.
Result<ScanReport> scan_log(const Device& device, const ScanRequest& request, const Events& events);

}  // namespace tracer
