// A challenger: a policy learned from all rows at hand and frozen, to be certified on audited traffic still to come.
// Source: docs/guarantee.md, "Updating".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/learn/choices.h"
#include "engine/learn/descriptions.h"
#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/policy/policy.h"
#include "engine/policy/router.h"
#include "engine/prove/audit_betting.h"
#include "kernels/backend.h"

namespace tracer {

struct ChallengerOptions {
  double alpha = 0.95;         // what candidates are compared at
  std::vector<double> alphas;  // to be certified, ascending, alpha among them; empty: alpha alone
  double level = 0.025;        // delta of this challenger: challenger_level()
  bool simultaneous = false;   // level / (number of alphas) each
  double min_coverage = 0.05;
  SplitKind unit = SplitKind::kRuns;  // what stays in one fold
  SplitOptions split;                 // folds and seed; nothing certifies
  int64_t max_references = 100000;
  std::vector<int32_t> never;  // as in FitOptions
  double label_floor = 0;
  Choices choices;
  const Descriptions* descriptions = nullptr;
};

struct Challenger {
  Policy policy;                 // one stage; certificates refused until audited rows certify them
  std::vector<AuditPlan> plans;  // of each certificate; no threshold where learn puts nothing within reach of its alpha
  int64_t described = 0;         // as FitResult
  std::vector<std::string> warnings;
};

// x: n x d vectors aligned with the traces, taken over. fair: n, whether a row was drawn as the traffic is (an answer
// to a deferred row was not); thresholds and bets are planned on those alone. kRefused where there is too little to
// learn from; otherwise as fit() in errors, memory and determinism.
Result<Challenger> freeze_challenger(Backend& backend, const Traces& traces, Matrix<float> x,
                                     const std::vector<uint8_t>& fair, const ChallengerOptions& options,
                                     const std::function<void(const std::string&)>& progress = {});

// Whether a challenger would handle the row at a low enough threshold, and with which score.
inline bool passes_gates(const RowScore& row, const DecisionRule& rule) {
  return decide(row, {-1, rule.by_label}) == Reason::kAccepted;
}

// One row of the audit, in order of arrival. teacher: an index into the policy's labels, or -1 where the row came back
// without a usable answer or with a label that the policy does not know: a disagreement.
struct AuditRow {
  RowScore score;  // canonical
  int32_t teacher = -1;
};

// The wagers of one of a challenger's certificates, as it was frozen, on rows that the challenger never learned from.
// certificate: what it would be deployed with, certified where at least one threshold has passed.
struct AuditOutcome {
  AuditWager wager;
  Certificate certificate;
};
AuditOutcome certify_on_audit(const Policy& challenger, const Certificate& frozen, const AuditPlan& plan,
                              const std::vector<AuditRow>& rows);

}  // namespace tracer
