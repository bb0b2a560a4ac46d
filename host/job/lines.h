// The lines of a job's output: {"id","label","source","score","reason","usage","cost_usd","error"}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/job/store.h"

namespace tracer::job {

// Everything a line needs besides the row. Immutable once made.
class LineFormat {
 public:
  // priced: cost_usd is a number, not null.
  LineFormat(const std::vector<std::string>& labels, bool priced);

  // A row that the surrogate answers.
  std::string handled(std::string_view id, int32_t label, double score) const;
  // A row that went to the LLM. first: no row before it has the same text; it carries usage and cost, later ones say
  // "cache". A pending result is an error with `pending_error`. An audit pick without an answer keeps the surrogate's
  // label where the policy would have handled it.
  std::string asked(const DeferredRow& row, const AskResult& result, bool first, std::string_view pending_error) const;

 private:
  std::vector<std::string> label_;  // as JSON
  bool priced_;
};

// Picodollars as a decimal number of dollars, exactly: "0.00001275".
std::string dollars_text(int64_t picodollars);

}  // namespace tracer::job
