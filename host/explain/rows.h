// Rows that a policy never learned from, and what it makes of each: what every explanation is counted from.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/router.h"
#include "kernels/backend.h"

namespace tracer {

inline constexpr size_t kNear = 10;  // nearest references looked at

struct ExplainedRow {
  int32_t teacher = -1;                 // index into the policy's labels; -1: a label that the policy does not know
  int32_t label = 0, runner_up = -1;    // the surrogate's two most probable labels; -1: there is one label
  float p1 = 0, p2 = 0, p_teacher = 0;  // their probabilities, and the teacher's label's
  double score = 0;
  Reason decision = Reason::kBelowThreshold;
  float nearest = -2;                      // similarity of the nearest reference
  float vote_label = 0, vote_teacher = 0;  // share of the nearest kNear references that carry the label
  std::array<int32_t, kNear> near;         // references, nearest first; -1: fewer

  bool text = false;  // the text stage of a cascade answers it: label, probabilities and score are its

  bool handled() const { return decision == Reason::kAccepted; }
  bool agrees() const { return label == teacher; }
  bool as_learned() const { return nearest > 1 - 1e-5f; }  // the vector of a reference
};

// x: n unit rows; teacher: n; texts: n, asked of a cascade alone. Scores are the ones that decide
// (engine/policy/canonical.h). kBadInput names the row, from 0, whose score is not finite. Memory beyond the result:
// O(kScoredTogether (d + C)).
Result<std::vector<ExplainedRow>> explain_rows(Backend& backend, const Policy& policy, const Certificate& certificate,
                                               HostMatrix<const float> x, const std::vector<int32_t>& teacher,
                                               const std::vector<std::string>& texts);

}  // namespace tracer
