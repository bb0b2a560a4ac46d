// Figures as text for people.
#pragma once

#include <string>

#include "engine/policy.h"
#include "host/artifact/artifact.h"

namespace tracer::cli {

std::string number(double v);       // shortest form: 0.95
std::string percent(double share);  // "93.1 %"
// Coverage against alpha, one line each, with what was refused and why.
std::string frontier_table(const Json& frontier);
// What a refused target would take; estimates, in words.
std::string refusal_estimate(const Certificate& c);
std::string refusal_estimate(const Json& estimate);

}  // namespace tracer::cli
