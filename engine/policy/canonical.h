// The decision of a row by one fixed-order routine in float64. Backends agree bit for bit on neighbours (kernels/
// backend.h; TRACER_ISA=portable, which has no fused multiply-add, apart) but not on exponentials and on the order of
// sums, so a row whose float32 score lies next to a boundary could be handled on one and deferred on another. Such rows
// are scored again here, and that result decides: the same policy and the same vectors give the same decisions on every
// backend. Certify rows are scored here from the start, so what is certified is what decides.
#pragma once

#include <span>

#include "engine/policy/policy.h"
#include "engine/policy/router.h"
#include "kernels/matrix.h"

namespace tracer {

// How far a float32 score, probability or mean distance may be off the canonical one: not a bound but ten times what
// tests/engine/policy/canonical_test.cpp holds the instruction sets to. Scores are furthest off where the acceptor
// takes the logit of a probability next to 0 or 1.
inline constexpr double kScoreBand = 1e-3;
inline constexpr double kTieBand = 1e-5;
inline constexpr double kDistanceBand = 1e-6;

// Is a boundary within the band: a threshold of the score, a tie of the two best labels, a limit of the gate?
bool near_boundary(const Stage& stage, const RowScore& row, std::span<const double> thresholds);

// Scores the unit row x (d values) with its nearest references, best first, as the search gave them: at least as many
// as the stage's members ask for; index -1 where there are fewer. Cost: 2 d C float64 operations, 4 k C, and 2 for each
// weight of an added member.
RowScore canonical_score(const Stage& stage, const float* x, const int32_t* neighbour, const float* similarity);

}  // namespace tracer
