// What audit rows have shown of a challenger, one certificate after the other, as figures and in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/challenger.h"
#include "host/artifact/artifact.h"

namespace tracer {

struct ChallengerOutcome {
  std::vector<AuditOutcome> alphas;  // ascending alpha
  size_t asked = 0;                  // the one that decides on deployment
  const AuditOutcome& decisive() const { return alphas[asked]; }
};

// Where the plans are not of the challenger's certificates: kBadInput, naming `where`.
Result<ChallengerOutcome> challenger_outcome(const Policy& challenger, const std::vector<AuditPlan>& plans,
                                             const std::vector<AuditRow>& rows, const std::string& where);

Json outcome_json(const AuditOutcome& outcome);

// Of the other alphas: "certified at 0.8, 0.9 too; not at 0.98; no longer at 0.99", which the champion is certified at;
// "" where there are none.
std::string other_alphas(const ChallengerOutcome& outcome, const Policy& champion);

}  // namespace tracer
