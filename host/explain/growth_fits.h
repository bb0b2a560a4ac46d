// The learning curve of `tracer explain --curve`.
#pragma once

#include "host/explain/growth.h"
#include "host/explain/unseen_rows.h"

namespace tracer {

// Fits kGrowthDraws parts of the log of each of kGrowthShares, as the policy was fitted, and gives growth_json().
Result<Json> explain_growth(Backend& backend, const LoadedPolicy& loaded, const OwnLog& log, const ExplainedRows& e,
                            std::optional<int64_t> more, const Events& events);

// The section in words, of all rows or of the one label asked for (null: of all); "" for null.
std::string growth_text(const Json& growth, const Json& label);

}  // namespace tracer
