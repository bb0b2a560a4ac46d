// What calls of the LLM cost.
#pragma once

#include <optional>

namespace tracer {

// What a call costs: USD a million tokens, tokens a call, calls a day. Without prices there is no saving to tell.
struct CallPrices {
  std::optional<double> in, out, calls_per_day;
  std::optional<double> tokens_in, tokens_out;  // not given: about
};

}  // namespace tracer
