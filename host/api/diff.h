// Two policies compared: what they promise, which labels they know, and what they do on the same rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "kernels/status.h"

namespace tracer {

struct DiffRequest {
  std::string before, after;    // folders of policies
  std::optional<double> alpha;  // the target they are compared at; default: the one that each was asked for
  RowSource source;             // labelled rows; compare_promises() looks at none
};

// One of the policies. Figures are nothing where they are undefined.
struct ComparedPolicy {
  std::string policy;  // digest
  double alpha = 0;
  bool certified = false;
  std::optional<double> coverage, agreement, agreement_lower;  // of its certify rows
  std::optional<int64_t> handled, agree;                       // of the same rows, if there are some
};

struct DiffReport {
  ComparedPolicy before, after;
  std::vector<std::string> labels_gained, labels_lost;  // that only the policy after, only the one before can answer
  std::optional<int64_t> rows;                          // that both were asked
  Document document;                                    // as `tracer diff` prints it
};

// The certificates and the labels. kRefused if alpha was not part of a policy's sweep.
Result<DiffReport> compare_promises(const DiffRequest& request);

// Also what both do on request.source. kBadInput if no rows fit both policies, or if these rows do not; kInterrupted
// where the events stop the embedding of text. Writes bad rows alone, to source.rejects (default: rejects.jsonl). One
// call at a time on a device. Cost: that of scoring the rows twice, and of their regions (engine/study/regions.h).
Result<DiffReport> compare_policies(const Device& device, const DiffRequest& request, const Events& events);

}  // namespace tracer
