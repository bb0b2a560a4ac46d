// The parity gate: certificates for every alpha of a sweep, planned on learn, tested on certify, once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/log/split.h"
#include "engine/policy/policy.h"
#include "engine/prove/rank_chain.h"
#include "engine/prove/run_betting.h"

namespace tracer {

enum class Unit { kAuto, kRows, kRuns };

struct CertifyOptions {
  double delta = 0.05;  // level of each certificate, after any division among alphas and looks
  double min_coverage = 0.05;
  bool approximate = false;  // may fall back to the design effect where runs do not certify
  uint64_t seed = 0;
};

// The out-of-fold figures of learn. Everything that is planned is computed from these figures.
struct LearnSide {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
  std::vector<uint8_t> gated;
  std::vector<int32_t> unit;
  int64_t rows = 0;  // of learn, where these are a sample of it; 0: these are all
};

// The frozen policy's figures on the rows it never learned from.
struct CertifySide {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
  std::vector<uint8_t> gated;
  std::vector<int32_t> unit;
  int64_t units = 0;
  int64_t unit_rows = 1;  // m, the most rows of a unit
};

// Decided on learn alone: are disagreements (of all rows, or of those handled around alpha) correlated inside units?
struct UnitChoice {
  bool runs = false;
  double z = 0;  // of the correlation; runs when above 2.6
  std::string reason;
};
// The unit of the proof, if that choice was made in a log of that split.
ProofUnit proof_unit(const UnitChoice& choice, SplitKind split);
UnitChoice choose_unit(const LearnSide& learn, Unit asked, double alpha, bool split_has_runs);

// Sorts the alphas, ascending. Values that differ by less than 1e-9 are one alpha.
std::vector<double> distinct_alphas(std::vector<double> alphas);

class Certifier {
 public:
  // Plans from learn; certify's scores are not looked at before certify() is called. If runs or groups are the unit,
  // units of more than unit_rows rows must have been left out of certify and of its counts (leave_out_large_units); a
  // set that still holds one is refused.
  Certifier(const LearnSide& learn, ProofUnit unit, const CertifyOptions& options, int64_t n_certify, int64_t n_units,
            int64_t unit_rows);

  // Certifies or refuses one alpha. The caller adds the counts by label and on unseen texts.
  Certificate certify(const CertifySide& side, double alpha) const;

 private:
  RefusalEstimate estimate(double alpha) const;

  CertifyOptions options_;
  ProofUnit unit_;
  bool runs_;  // the unit is a run or a group
  int64_t n_certify_, n_units_, unit_rows_;
  int64_t n_learn_;     // out-of-fold rows
  int64_t learn_rows_;  // of learn, as the certificate states it
  LearnScores learn_;
  RunScores learn_runs_;
  std::optional<ImaginedCertify> imagined_;
};

// The refusal of a log that gives no folds or no certify rows. for_what: what the learn rows do, in words.
Certificate refuse_too_few(const Split& split, const std::string& for_what, const CertifyOptions& options,
                           double alpha);

}  // namespace tracer
