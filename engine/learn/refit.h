// The chosen candidate, learned again from all of learn and frozen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/learn/search.h"
#include "engine/policy/policy.h"
#include "kernels/backend.h"

namespace tracer {

// All learn rows. The rows that search_surrogate saw come first, in its order.
struct LearnRows {
  HostMatrix<const float> x;                   // n x d, unit rows
  std::vector<int32_t> label;                  // n
  std::vector<int32_t> fold;                   // n
  std::vector<int64_t> row;                    // n: of the log
  const Descriptions* descriptions = nullptr;  // as SearchInput
};

// What search_surrogate sees: the first `searched` rows, and the label frequencies of all rows. unit: of each row. The
// caller sets the rest of the input (alphas, folds, ...).
SearchInput searched_part(const LearnRows& learn, const std::vector<int32_t>& unit, int64_t searched, int64_t classes);

// Softmax regression is learned from all rows, starting from the mean of the folds' weights; the kernel vote from the
// rows that were searched, which become the references (copied).
Result<Stage> refit(Backend& backend, const SearchResult& search, const LearnRows& learn, int64_t classes);

}  // namespace tracer
