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

#include "engine/fit_options.h"
#include "engine/learn/cascade.h"
#include "engine/learn/search.h"
#include "engine/log/dependence.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/policy/policy.h"
#include "engine/prove/certify.h"
#include "engine/prove/certify_rows.h"
#include "kernels/backend.h"

namespace tracer {

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

// x: n x d vectors aligned with the traces; fit takes them over. A refusal is a result. An error means bad options
// (kBadInput), a failing backend, or too little memory (kOutOfMemory: nothing is thrown).
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
