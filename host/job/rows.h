// What becomes of a scored row in a job: the surrogate's line, or a row for the LLM.
#pragma once

#include <cstdint>

#include "engine/maths/random.h"
#include "host/encoder/source.h"
#include "host/job/config.h"
#include "host/job/journal.h"
#include "host/job/lines.h"
#include "host/route/opened_policy.h"

namespace tracer::job {

// The rows of this input under this policy.
RowsConfig rows_config(const LoadedPolicy& loaded, const RowSource& input);

class JobRows {
 public:
  // audit_rate: share of all rows, picked under audit_seed before the policy is asked, that go to the LLM as well. The
  // policy must outlive the object.
  JobRows(const LoadedPolicy& loaded, double audit_rate, int64_t audit_seed, bool priced)
      : loaded_(loaded),
        audit_rate_(audit_rate),
        audit_(static_cast<uint64_t>(audit_seed), Stream::kAudit),
        format_(loaded.artifact.policy.labels, priced) {}

  // at: the row's place among the good rows of the input, from 0. The row's text is taken if the row goes to the LLM.
  RoutedRow route(RowBatch::Row& row, const RowScore& score, int64_t at) const;
  const LineFormat& format() const { return format_; }

 private:
  const LoadedPolicy& loaded_;
  const double audit_rate_;
  const Random audit_;
  const LineFormat format_;
};

}  // namespace tracer::job
