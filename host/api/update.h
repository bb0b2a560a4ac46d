// The loop closes: a policy takes in new answers of the teacher, and a challenger that learned from them takes its
// place once audited rows prove that it may. How, and what is promised: docs/updating.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "host/versions/original.h"
#include "host/versions/taken_in.h"
#include "host/versions/update_decision.h"
#include "kernels/status.h"

namespace tracer {

struct UpdateRequest {
  std::string folder;    // of the policy
  RowSource source;      // the new rows, in order of arrival, with "provenance" audit or deferred
  OriginalLog original;  // the log that the policy was fitted on; only the first update reads it
  // The chance that is accepted of ever deploying a policy below alpha, in (0, 1), by all updates together. The first
  // update fixes it. Default: the policy's delta.
  std::optional<double> delta;
  // Drop the challenger when so many audit rows have not deployed it. Default: twice what its plan expects.
  std::optional<int64_t> patience;
  bool drop = false;  // drop the challenger now, unless it can be deployed
};

struct UpdateReport {
  UpdateDecision decision = UpdateDecision::kNone;
  int64_t champion = 0;                       // the version in place when the call ends
  std::string policy;                         // its digest
  TakenIn taken;                              // of request.source
  std::map<std::string, int64_t> new_labels;  // that the champion did not know, with their rows
  std::optional<int64_t> judged;              // the version that was in waiting
  std::optional<int64_t> audit_rows;          // that it was judged on, of this update and those before
  std::optional<int64_t> next;                // the version that was frozen, and waits from now on
  Document document;                          // as `tracer update` prints it
};

// Takes the rows in, judges the challenger in waiting, and freezes the next one where none waits. Rows that were taken
// in before are left out, so the same rows may be given again. What it keeps lies beside the policy, in
// FOLDER.versions, whose lock it holds; whenever it is killed, the policy in the folder is the old or the new one,
// whole.
//
// Errors: kBadInput for rows, files or a policy that do not fit, for a cascade, and with "delta" as its field where the
// first update fixed another; kRefused while another process holds the lock; kInterrupted where the events stop the
// embedding of text. Too little to learn from is no error but a warning. One call at a time on a device. Cost: that of
// a fit on all rows kept, where a challenger is frozen; else of scoring the audit rows.
Result<UpdateReport> update_policy(const Device& device, const UpdateRequest& request, const Events& events);

}  // namespace tracer
