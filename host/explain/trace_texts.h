// Texts of traces that a policy learned from, out of the log, which stays outside of the policy.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/artifact/artifact.h"

namespace tracer {

inline constexpr int64_t kMostLogBytes = int64_t{1} << 28;  // a larger log is not read for a few texts

// The texts of these rows (places in the log, as NeighbourMember has them). Empty where the log is gone, has changed,
// is too large, or is read by other keys than the usual ones: a help to people, never a failure. Cost: two passes over
// it.
std::unordered_map<int64_t, std::string> trace_texts(const Provenance& from, const std::vector<int64_t>& rows);

}  // namespace tracer
