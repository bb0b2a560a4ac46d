// Why one input is handled or deferred.
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

struct InspectRequest {
  PolicyOptions policy;
  std::optional<std::string> text;  // absent: a row of the vector file
  int64_t row = 0;                  // of source.embeddings, from 0
  RowSource source;                 // embeddings, or how the text is embedded
};

struct Inspection {
  Document document;
};

// kBadInput: the row does not exist, the vectors are of another dimension or encoder, or a cascade is given a vector
// alone. kRefused: the policy is not certified at that alpha.
Result<Inspection> inspect_input(const Device& device, const InspectRequest& request, const Events& events);

}  // namespace tracer
