// What the certificates of a policy say, as text for people and as JSON.
#pragma once

#include <string>

#include "engine/policy/policy.h"
#include "host/artifact/artifact.h"

namespace tracer {

// Coverage against alpha, one line each, with what was refused and why.
std::string frontier_table(const Json& frontier);
// Labels that the policy defers whatever their score: those of --never, and for each alpha those below the label floor
// with the out-of-fold figures that decided. As text, empty where there are none; the labels are named in the JSON.
std::string deferred_labels_text(const Policy& policy);
Json deferred_labels_json(const Policy& policy);
// What a refused target would take; estimates, in words.
std::string refusal_estimate(const Certificate& c);
std::string refusal_estimate(const Json& estimate);

}  // namespace tracer
