// From a log to a certified policy in a folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/api/device.h"
#include "host/api/document.h"
#include "host/api/log.h"
#include "host/encoder/source.h"
#include "host/io/events.h"
#include "kernels/status.h"

namespace tracer {

// How a log is split into rows to learn from and rows to certify on (docs/guarantee.md, step 1).
struct SplitRequest {
  std::string kind = "auto";  // auto, rows, runs, time; groups if the log has a group key
  std::string unit = "auto";  // what is independent: auto, rows, runs
  double certify_fraction = 0.25;
  int folds = 5;      // 2 to 100
  uint64_t seed = 0;  // same seed, same bytes
};

// What is tried, and what of a large log is looked at.
struct SurrogateRequest {
  std::vector<std::string> members = {"softmax", "neighbours"};  // and prototype, mlp, mlp2, gbt
  std::vector<std::string> families = {"global", "l2d"};         // and l2d_label, rsb
  double gate_share = 0.002;        // of ordinary rows that the gate may defer: in [0, 0.5]
  int64_t max_references = 100000;  // learn rows that neighbours are looked up among and candidates compared on
  DescriptionOptions descriptions;
};

// The defaults are those of `tracer fit` (docs/cli.md).
struct FitRequest {
  double alpha = 0.95;                                                     // agreement to certify: in (0, 1)
  std::vector<double> sweep = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};  // other targets, certified on the way
  double delta = 0.05;                                                     // chance of a false certificate: in (0, 1)
  bool simultaneous = false;   // all targets hold together, at delta / their number each
  int looks = 1;               // fits of this log that share delta
  double min_coverage = 0.05;  // a policy that would handle less is refused
  bool approximate = false;    // if runs do not certify exactly: a design effect, which the certificate names
  SplitRequest split;
  SurrogateRequest surrogate;
  std::vector<std::string> never;  // labels that are always left to the teacher, or several with commas between
  double label_floor = 0;          // labels that learn does not show to agree this often are left to the teacher
  bool cascade = false;            // a stage on the text's words answers easy rows; the log must keep its texts
  double cascade_tolerance = 0.005;
  std::optional<double> budget_seconds;  // of learning: the policy's bytes then depend on time
  bool explain = true;                   // the report's text explains the certify rows: costs time
};

// One target.
struct TargetReport {
  double alpha = 0;
  bool certified = false;
  std::string reason;  // why it is refused; "" if it is certified
  double threshold = 1;
  int64_t n_certify = 0, n_handled = 0, n_agree = 0;
  std::optional<double> coverage, agreement, agreement_lower;  // of certify rows; absent where undefined
};

struct FitReport {
  bool certified = false;  // at the alpha asked for
  double alpha = 0;
  int64_t rows = 0, labels = 0;
  std::vector<TargetReport> targets;  // ascending alpha
  std::vector<std::string> warnings;
  // Why the ledger voids this look at the certify rows; "" if the look stands. The earlier policy is then in place.
  std::string void_reason;
  Document document;
};

// Learns, certifies, and writes the policy to `folder`, which is absent, empty or an earlier policy with nothing added.
// Refusal is an answer: the report says so, and the policy is written. The ledger of looks is kept in the folder: a
// second fit of the same log, with another seed or option, certifies nothing unless delta was shared among looks from
// the first fit on. Takes the log.
// Errors: kBadInput with its field for an option; kBadInput, kIo, kDevice, kOutOfMemory as they come. Nothing is
// written then. Deterministic in (log, request) and the device's instruction set, for any number of threads. Cost and
// memory: engine/fit.h.
Result<FitReport> fit_policy(const Device& device, Log log, const FitRequest& request, const std::string& folder,
                             const Events& events);

// Reads the log, then the same. Faults that need no reading are found before it: a folder that may not be replaced, an
// output that is an input, a label of `never` that no trace carries. source.keep_texts follows from the request.
Result<FitReport> fit_policy(const Device& device, const LogSource& source, const FitRequest& request,
                             const std::string& folder, const Events& events);

}  // namespace tracer
