// What becomes of a scored row in a job: the surrogate's line, or a row for the LLM.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/maths/random.h"
#include "host/job/journal.h"
#include "host/job/lines.h"
#include "host/route/opened_policy.h"

namespace tracer::cli {

class JobRows {
 public:
  // audit_rate: share of all rows, picked under audit_seed before the policy is asked, that go to the LLM as well. The
  // policy must outlive it.
  JobRows(const LoadedPolicy& loaded, double audit_rate, uint64_t audit_seed, bool priced)
      : loaded_(loaded),
        audit_rate_(audit_rate),
        audit_(audit_seed, Stream::kAudit),
        format_(loaded.artifact.policy.labels, priced) {}

  // at: the row's place among the good rows of the input, from 0. The row's text is taken where it goes to the LLM.
  job::RoutedRow route(RowBatch::Row& row, const RowScore& score, int64_t at) const;
  const job::LineFormat& format() const { return format_; }

 private:
  const LoadedPolicy& loaded_;
  const double audit_rate_;
  const Random audit_;
  const job::LineFormat format_;
};

}  // namespace tracer::cli
