// The chosen candidate, learned again from all of learn and frozen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/policy.h"
#include "engine/search.h"
#include "kernels/backend.h"

namespace tracer {

// learn (n x d, unit rows; taken over as the references), label and fold: what search_surrogate saw. row: n, the rows
// of the log. Softmax regression starts from the mean of the folds' weights.
Result<Stage> refit(Backend& backend, const SearchResult& search, Matrix<float> learn, std::vector<int32_t> label,
                    const std::vector<int32_t>& fold, std::vector<int64_t> row, int64_t classes);

}  // namespace tracer
