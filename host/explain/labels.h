// Label by label: how much is handled, how well, and what it is taken for.
#pragma once

#include <map>

#include "host/explain/causes.h"
#include "host/explain/counts.h"

namespace tracer {

struct LabelExplanation {
  int32_t label = 0;
  int64_t rows = 0;                      // with this teacher label
  int64_t rows_handled = 0;              // among them, with whatever surrogate label
  Counts answered;                       // rows with this surrogate label
  std::map<int32_t, int64_t> taken_for;  // surrogate labels of the teacher's rows that differ, handled or not
  std::map<Cause, int64_t> deferred;     // of the teacher's rows
};

// Labels with a row of either kind, ascending.
std::vector<LabelExplanation> explain_labels(const std::vector<ExplainedRow>& rows, const std::vector<Cause>& cause);

}  // namespace tracer
