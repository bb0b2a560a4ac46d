// Why a policy handles and why it defers, on rows that it never learned from. What is found and how: docs/explain.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/explain/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/status.h"

namespace tracer {

struct ExplainRequest {
  PolicyOptions policy;
  ExplainSource source;              // which rows; default: the certify rows of the log that the policy was fitted on
  std::optional<std::string> label;  // explain only rows that the teacher or the policy gives this label
  // A file for the document, and a file for a JSON line on each row. "": none. "-": the rows go to standard output; the
  // document goes nowhere, for the report has it anyway.
  std::string output, rows_output;
};

struct ExplainReport {
  std::string policy;  // digest
  double alpha = 0;
  bool certified = false;     // at alpha; a refused alpha is explained too: everything is deferred
  bool certify_rows = false;  // the rows are the certify rows of the policy's own log
  int64_t rows = 0, handled = 0, agree = 0;
  std::optional<double> coverage, agreement, agreement_lower;  // of the rows; nothing where undefined
  Document document;  // as `tracer explain` writes it, and what it says of it, but for where the file is
};

// Errors: kBadInput if the rows do not fit, the log is not there or has changed, the policy knows no such label, or an
// output would destroy what is read (the option is the error's field); kRefused if alpha was not part of the sweep or
// if nothing was learned; kInterrupted where the events stop the embedding of text. Warns if more than half of the rows
// were learned from. One call at a time on a device. Cost: that of scoring the rows with their neighbours, and of their
// regions (engine/study/regions.h); with source.curve that of nine fits of parts of the log.
Result<ExplainReport> explain_policy(const Device& device, const ExplainRequest& request, const Events& events);

}  // namespace tracer
