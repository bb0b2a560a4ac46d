// Why a job's sending ends.
#pragma once

#include <string>

namespace tracer::job {

// Why sending ended before everything was answered.
enum class StopReason {
  kNone,
  kCost,
  kRequests,
  kDeadline,
  kQuota,         // the server says that the account is spent
  kUnauthorized,  // key, model or address are refused
  kRefused,       // every request was
  kUnavailable,   // no answer for give_up_seconds
  kInterrupted,
  kHeld,       // nothing was to be sent
  kCancelled,  // `tracer job cancel`
};
// In words, with options by their marks (kernels/status.h). The output has it as as_flags() spells it: "budget:
// --max-cost-usd reached".
std::string to_string(StopReason reason);

}  // namespace tracer::job
