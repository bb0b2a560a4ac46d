// The certify rows once they are open: scored by the frozen policy, and what is reported of them beside a certificate.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/log/split.h"
#include "engine/log/traces.h"
#include "engine/policy/policy.h"
#include "engine/prove/certify.h"
#include "kernels/backend.h"

namespace tracer {

// A certify row that the surrogate is most certain about and the teacher labels otherwise.
struct Suspect {
  int64_t row = 0;  // of the log, from 0
  double score = 0;
  int32_t surrogate = 0;
  int32_t teacher = 0;
};

struct CertifyRows {
  CertifySide side;  // gated: out of distribution
  std::vector<int32_t> predicted;
  std::vector<uint8_t> unseen;  // the normalised text does not occur in learn
};

// place: of each row of the log in x (unit rows). Scores are canonical (engine/policy/canonical.h). Errors: as
// RowScorer::score. Memory beyond the result: O(4096 (d + C)).
Result<CertifyRows> score_certify(Backend& backend, const Traces& traces, const Split& split, const Stage& stage,
                                  const Matrix<float>& x, const std::vector<int32_t>& place);

// Adds the figures beside a certificate that need more than scores: by label, and on unseen texts. side: as tested.
void add_details(const Traces& traces, const Split& split, const CertifyRows& rows, const CertifySide& side,
                 Certificate& c);

// Gives at most 20 of the rows that `side` does not gate and that disagree, the most certain first.
std::vector<Suspect> find_suspects(const Traces& traces, const Split& split, const CertifyRows& rows,
                                   const CertifySide& side);

}  // namespace tracer
