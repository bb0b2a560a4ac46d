// What tokens cost, exactly: a picodollar (1e-12 USD) is the unit, so that sums of a ledger have no rounding.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/status.h"

namespace tracer::llm {

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  Usage& operator+=(const Usage& o) {
    prompt_tokens += o.prompt_tokens;
    completion_tokens += o.completion_tokens;
    return *this;
  }
};

inline constexpr int64_t kPicodollars = 1'000'000'000'000;

struct Price {
  int64_t prompt = 0;      // picodollars a token
  int64_t completion = 0;  // likewise
  int64_t of(const Usage& usage) const { return prompt * usage.prompt_tokens + completion * usage.completion_tokens; }
};

// The entry of `model` in a JSON file {"MODEL": {"input": USD, "output": USD}, ...}, USD a million tokens. A price
// finer than a picodollar a token is rounded up. batch: of a batch API, its "batch_input" and "batch_output" where the
// entry has them. kBadInput names the file, the model and the field; kIo.
Result<Price> read_price(const std::string& path, const std::string& model, bool batch = false);

inline double dollars(int64_t picodollars) { return static_cast<double>(picodollars) / 1e12; }

}  // namespace tracer::llm
