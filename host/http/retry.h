// What an attempt's outcome means: an answer, a try later, a row that cannot be answered, or the end of all sending.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host/http/api_error.h"
#include "host/http/http_client.h"

namespace tracer::http {

enum class Outcome {
  kAnswered,      // 2xx
  kRetry,         // the server asks for patience, is broken for now, or was not reached
  kRowFailed,     // this request cannot succeed
  kQuota,         // the account is spent: nothing will succeed
  kUnauthorized,  // the key, the model or the address is wrong: likewise
};

struct Verdict {
  Outcome outcome = Outcome::kAnswered;
  bool throttled = false;                 // too much was asked for (429, 503, 529): send less
  std::optional<int64_t> retry_after_ms;  // what this very answer asked for
  std::string error;                      // "http 429: rate limit reached", "connection refused"
};

// By the status, `x-should-retry`, and the error's code: a 429 for a spent quota is not one for a rate. `error` is the
// parsed body where the status is none of 2xx. now: seconds since 1970, for Retry-After dates.
Verdict judge(const HttpResponse& response, const ApiError& error, double now);

// retry-after-ms, retry-after in seconds, or retry-after as an HTTP date; the first that can be read. Not negative.
std::optional<int64_t> retry_after_ms(const HttpResponse& response, double now);

// Exponential with jitter, before attempt `attempt` + 1 (from 1): between half and all of 500 ms doubled each time, at
// most 30 s. random: in [0, 1).
int64_t backoff_ms(int attempt, double random);

}  // namespace tracer::http
