// From traces and vectors to a certified policy: split, dependence check, cross-validated choice, refit, certificate.
// Source of the procedure: docs/guarantee.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/learn/cascade.h"
#include "engine/learn/descriptions.h"
#include "engine/learn/search.h"
#include "engine/log/dependence.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/policy/policy.h"
#include "engine/prove/certify.h"
#include "engine/prove/certify_rows.h"
#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kFewestReferences = 100;

struct FitOptions {
  double alpha = 0.95;
  std::vector<double> sweep = {0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99};  // alpha is always included
  double delta = 0.05;
  double min_coverage = 0.05;
  bool simultaneous = false;  // delta / (number of alphas) each
  int looks = 1;              // fits of this log that share delta
  Unit unit = Unit::kAuto;
  bool approximate = false;
  SplitOptions split;
  std::optional<Split> given_split;      // of the traces, instead of one drawn as `split` says
  std::vector<int32_t> never;            // labels, by index: rows with such a surrogate label are always deferred
  int64_t max_references = 100000;       // learn rows that neighbours are looked up among and candidates compared on
  MemberSet members;                     // to try beside softmax regression and neighbours
  bool label_thresholds = false;         // try the family l2d_label beside global and l2d
  bool residual = false;                 // try the family rsb
  double gate_share = kGateShare;        // of ordinary rows that the gate may defer: in [0, 0.5]
  double label_floor = 0;                // labels that learn does not show to agree this often are deferred; 0: none
  int64_t keep_certify = 0;              // certify rows whose vectors the result keeps, at most
  std::optional<double> budget_seconds;  // of learning; once spent, no further candidate is tried
  // What labels mean, labels by index: learned from where the log shows them few times. Must outlive the fit.
  const Descriptions* descriptions = nullptr;
  // n, not empty: a cascade (engine/learn/cascade.h), whose text stage learns from these texts of the traces.
  std::span<const std::string> cascade_texts;
  double cascade_tolerance = 0.005;  // share of all rows of planned coverage that the text stage may cost
};

struct FitResult {
  Policy policy;  // no stages when there was too little to learn from
  Split split;    // learn ordered by fold
  Dependence dependence;
  UnitChoice unit;
  std::vector<Candidate> candidates;
  Candidate chosen;
  int64_t described = 0;              // labels whose descriptions were learned from
  std::vector<CascadePlan> cascade;   // of a cascade: aligned with the policy's certificates
  std::vector<std::string> cut;       // what the budget left untried; not empty: the policy depends on time
  std::vector<Suspect> suspects;      // at most 20, most certain first
  std::vector<std::string> warnings;  // among them: certify groups that were left out, being larger than any of learn
  std::vector<int32_t> kept;          // certify rows of the log, ascending: all, or a sample
  Matrix<float> kept_x;               // their unit vectors
  std::vector<std::pair<std::string, double>> seconds;  // by phase
};

// x: n x d vectors aligned with the traces, taken over. A refusal is a result; an error is bad options (kBadInput), a
// failing backend, or too little memory (kOutOfMemory: nothing is thrown).
// Memory at the peak, in floats, with C labels and K folds: n d for x, and with s = min(n, max_references): s d for
// the references; 3 s C for out-of-fold probabilities, and 9 s C while the kernel vote is learned; (2 * 11 + 6) (d + 1)
// K C for the weights, gradients and L-BFGS history of the folds' softmax regressions; 4 (d + 1)^2 for their
// preconditioner. Beyond: O(n) and the backend's own buffers. Deterministic in (traces, x, options) and the backend's
// isa, for any number of threads, unless a budget cut it short; only `seconds` differs. A cascade adds what
// search_text_stage takes (engine/learn/text_stage_fit.h), of s rows; descriptions that are learned from, x's learn
// rows once more.
Result<FitResult> fit(Backend& backend, const Traces& traces, Matrix<float> x, const FitOptions& options,
                      const std::function<void(const std::string&)>& progress = {});

}  // namespace tracer
