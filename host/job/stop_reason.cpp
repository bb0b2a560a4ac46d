#include "host/job/stop_reason.h"

#include "kernels/status.h"

namespace tracer::job {

std::string to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kNone:
      return "";
    case StopReason::kCost:
      return "budget: " + option("max_cost_usd") + " reached";
    case StopReason::kRequests:
      return "budget: " + option("max_requests") + " reached";
    case StopReason::kDeadline:
      return "budget: " + option("deadline") + " passed";
    case StopReason::kQuota:
      return "quota: the account is spent";
    case StopReason::kUnauthorized:
      return "refused: key, model or address";
    case StopReason::kRefused:
      return "refused: every request";
    case StopReason::kUnavailable:
      return "unavailable: no answer";
    case StopReason::kInterrupted:
      return "";
    case StopReason::kHeld:
      return "held: not asked yet";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "";
}

}  // namespace tracer::job
