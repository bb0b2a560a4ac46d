// The family rsb: a second surrogate, with an acceptor and a gate of its own, learned from the rows that the first one
// would defer, which it then answers. Each row has one stage that answers it, by a rule fixed on learn, so the pair has
// one score for every row and is certified as any policy is. The residual family of A. Rida, arXiv:2604.14531, there
// two policies in a row.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/learn/refit.h"
#include "engine/learn/search.h"
#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kFewestResidual = 200;  // rows that a second surrogate learns from

// The first stage as learn shows it, and as it was refit; both become those of the pair.
struct FirstStage {
  SearchResult& search;  // score, predicted, disagree and gated are replaced; the rest stays
  Stage& stage;          // is given its residual
};

// Learns a second surrogate from the searched rows that pass the first one's gate and that it would defer at alpha
// (scored at or below the least score of the largest share of the rows, best first, that a certify set would allow).
// The pair is kept, and true returned, where out-of-fold rows would be allowed more coverage by kResidualGain than by
// the first stage alone (SearchInput::other_score); otherwise everything stays as it was. input: what the first stage
// was searched with; learn: the rows of its refit. Cost: a search and a refit on those rows.
Result<bool> add_residual(Backend& backend, const SearchInput& input, const LearnRows& learn, double alpha,
                          FirstStage first, const std::function<void(const std::string&)>& progress);

// Share of the rows: what choosing among candidates on a few hundred rows may promise too much.
inline constexpr double kResidualGain = 0.002;

}  // namespace tracer
