// Why each deferred row was deferred. The policy itself gives a Reason (engine/policy/router.h), which is what it
// decided by; a Cause also says what lies behind a score that is too low, as far as labelled rows and the traces near
// them show. Causes are exhaustive and exclusive. explain.json calls them reasons.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/explain/rows.h"

namespace tracer {

// The first that applies counts; the order is that of the enum. Frozen names: cause_name().
enum class Cause : int {
  kHandled = 0,
  kNeverLabel,    // the surrogate's label is one of --never
  kFar,           // out of distribution: far from all traces
  kLabelFloor,    // the surrogate's label is below the label floor
  kMargin,        // scored among the rows that agree alpha of the time, yet below the certified threshold
  kInconsistent,  // among its nearest traces, near-duplicates with different labels, one of them the surrogate's
  kRareLabel,     // the teacher's or the surrogate's label has fewer than kRareTraces traces to learn from
  kAmbiguous,     // the runner-up holds at least half of the probability that the first label leaves
  kSpread,        // the rest: several labels share it
};
inline constexpr int kCauses = 9;
inline constexpr int64_t kRareTraces = 20;
const char* cause_name(Cause cause);         // "handled", "never_label", "far_from_traces", ...
const std::string& cause_text(Cause cause);  // in words; options are marked (kernels/status.h)
const std::string& cause_help(Cause cause);  // what would help; likewise

// Two references that are near-duplicates and carry different labels.
struct Conflict {
  int32_t a = 0, b = 0;  // a < b
};

struct Causes {
  std::vector<Cause> cause;         // n
  std::vector<Conflict> conflict;   // n: of the inconsistent rows, the most alike pair near the row
  double plain_threshold = 1;       // the lowest score down to which the rows agree alpha of the time; 1: none
  double duplicate_similarity = 1;  // from which two references are near-duplicates
};

// plain_threshold is read off the rows themselves; duplicate_similarity is the 0.75 quantile of the rows' similarity to
// their nearest reference. Cost: O(n log n), and kNear^2 d / 2 multiplications a deferred row.
Causes find_causes(const Policy& policy, const Certificate& certificate, const std::vector<ExplainedRow>& rows);

}  // namespace tracer
