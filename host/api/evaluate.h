// A policy on fresh labelled rows: how much it handles, and how often it agrees.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/route/policy_options.h"
#include "kernels/status.h"

namespace tracer {

struct EvaluateRequest {
  PolicyOptions policy;
  RowSource source;    // labelled rows; rejects "": rejects.jsonl
  std::string errors;  // file for every handled disagreement, a JSON line each; "": none
};

struct Evaluation {
  double alpha = 0, delta = 0;
  int64_t rows = 0, handled = 0, agree = 0;
  int64_t unknown_labels = 0;             // rows whose label the policy does not know
  std::optional<double> coverage;         // absent without rows
  std::optional<double> agreement;        // of handled rows; absent if none is handled
  std::optional<double> agreement_lower;  // Clopper-Pearson, one-sided, at delta
  Document document;
};

// Rows stream: memory does not grow with them. kRefused: the policy is not certified at that alpha. kBadInput names
// file and line. A label that the policy does not know counts as a disagreement if the row is handled; such rows, and
// bad ones, are warned of.
Result<Evaluation> evaluate_policy(const Device& device, const EvaluateRequest& request, const Events& events);

}  // namespace tracer
