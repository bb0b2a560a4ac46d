// Gradient-boosted trees (engine/learn/gradient_boosting.h) in all folds side by side, until out-of-fold loss stops
// falling.
#pragma once

#include <string>
#include <vector>

#include "engine/learn/member_search.h"

namespace tracer {

inline constexpr int kMostRounds = 100;

// As search_mlp of engine/learn/member_search.cpp, by rounds, each fold on one of `threads` threads. Same bytes for
// any number of them. kDevice where XGBoost is not there. What the budget left untried goes to `cut`.
Result<FoundMember> search_trees(int threads, const MemberSearchInput& in, std::vector<std::string>& cut);

// plan.epochs rounds on all rows; the weight is left to the caller.
Result<AddedMember> learn_trees(const MemberData& data, const MemberPlan& plan);

}  // namespace tracer
