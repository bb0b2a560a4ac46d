// Why one input is handled or deferred.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "host/artifact/artifact.h"
#include "host/route/opened_policy.h"
#include "kernels/backend.h"

namespace tracer {

struct InspectedRow {
  std::optional<std::string> text;  // absent: a row of a vector file
  int64_t row = 0;                  // of that file
  std::string name;                 // in messages: "the text", "row 3 of x.npy"
};

// Label, score, reason in words, probabilities and nearest traces of one input, as `tracer inspect --json` prints them
// (host/explain/inspect_text.h puts them in words). read_vector fills the vector (of the policy's dimension, of any
// length) and is not called where the text stage of a cascade answers. kBadInput: damaged numbers of the policy, and
// what read_vector returns.
Result<Json> inspect_row(Backend& backend, const LoadedPolicy& loaded, const InspectedRow& row,
                         const std::function<Status(HostMatrix<float>)>& read_vector);

}  // namespace tracer
