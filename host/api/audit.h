// The live alarm: does the policy in place still agree with the teacher? Why the bounds hold: docs/updating.md.
#pragma once

#include <cstdint>
#include <optional>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/status.h"

namespace tracer {

struct AuditRequest {
  PolicyOptions policy;
  RowSource source;             // all audit rows since the policy was put in place, in order of arrival
  std::optional<double> delta;  // the chance of ever a false alarm, in (0, 1); default: the policy's delta
};

struct AuditReport {
  bool alarm = false;    // agreement is below alpha: each false alarm ever has at most the chance delta
  int64_t alarm_at = 0;  // the handled audit row, from 1, that raised it; 0: none did
  double alpha = 0, delta = 0;
  int64_t audit_rows = 0;           // each occurrence once; rows of another provenance or policy are left out
  int64_t unanswered = 0;           // audit rows without a usable answer: disagreements where they are handled
  int64_t handled = 0, agree = 0;   // of the audit rows
  std::optional<double> agreement;  // agree / handled; nothing if no row is handled
  // Bounds on the agreement that hold at all times at once; each is wrong with probability at most delta.
  double agreement_lower = 0, agreement_upper = 1;
  Document document;  // as `tracer audit` prints it
};

// Scores the audit rows with the policy and watches those that it handles. Writes nothing but bad rows, to
// source.rejects (default: rejects.jsonl). Warns of rows that are left out.
//
// Errors: kBadInput for rows or vectors that do not fit the policy; kRefused if the policy is not certified at that
// alpha; kInterrupted where the events stop the embedding of text. One call at a time on a device. Cost: that of
// scoring the rows, and of embedding their text if they come without vectors.
Result<AuditReport> audit_policy(const Device& device, const AuditRequest& request, const Events& events);

}  // namespace tracer
