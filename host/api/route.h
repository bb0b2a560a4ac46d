// Answers or defers each row of a file: one JSON line a row, in order.
#pragma once

#include <cstdint>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/status.h"

namespace tracer {

struct RouteRequest {
  PolicyOptions policy;
  RowSource source;    // rejects "": OUTPUT.rejects.jsonl, or rejects.jsonl if the output is no regular file
  std::string output;  // a file, or "-" for standard output
};

struct RouteReport {
  int64_t rows = 0, handled = 0, deferred = 0;
  int64_t bad_rows = 0;  // could not be read: they have no line, and stand in the rejects file
  Document document;     // json: what stands in OUTPUT.meta.json beside an output that is a regular file
};

// Rows stream: memory does not grow with them. Format of a line: docs/input.md. What was routed before an error stays
// in the output. Errors: kRefused: the policy is not certified at that alpha; kBadInput names file and line;
// kBrokenPipe.
Result<RouteReport> route_file(const Device& device, const RouteRequest& request, const Events& events);

}  // namespace tracer
