// The rank chain: fixed-sequence testing on the number of accepted rows. Source: docs/guarantee.md, step 5 ("unit
// rows"), after Angelopoulos et al., "Learn then Test", arXiv:2110.01052. The proof is in docs/rank-chain.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tracer {

// Out-of-fold scores in (0, 1) and disagreements of the learn rows that pass the gate, and how many rows there were
// with those that do not.
struct LearnScores {
  std::vector<double> score;
  std::vector<uint8_t> disagree;
  int64_t rows = 0;
};

// The rows that pass the gate, of three vectors of equal length.
LearnScores eligible_scores(std::span<const double> score, std::span<const uint8_t> disagree,
                            std::span<const uint8_t> gated);

// Indices of the rows, highest score first; equal scores in order of index.
std::vector<int32_t> best_first(std::span<const double> score);
// Disagreements among the first r rows, best first, for r = 0..n.
std::vector<int64_t> disagreements_by_rank(const LearnScores& rows);

// Tests k_a, .., k_b, then every rank after k_b, where k_c is the least number of rows that may hold c disagreements.
// A rank beyond the certify rows that pass the gate stands for all of those.
struct ChainPlan {
  bool possible = false;  // false: no rank that reaches the minimum coverage can be certified with so few rows
  int64_t a = 0;
  int64_t b = 0;
  double expected_coverage = 0;  // mean over imagined certify sets, refusal counted as 0
  double expected_deploy = 0;    // share of imagined certify sets that certify
};

// Imagined certify sets drawn from the posterior of the out-of-fold disagreement curve; one object serves every alpha.
// Each set keeps the ranks of its disagreements only. Cost: for each set n_certify draws, the risk of each distinct
// learn row among them, and a pass over the counts of n_learn rows.
class ImaginedCertify {
 public:
  // sets = 600, fewer when n_certify is above 100,000. Deterministic in the arguments.
  ImaginedCertify(const LearnScores& learn, int64_t n_certify, uint64_t seed);

  // Chooses a and b, on learn alone, for target alpha at level delta.
  ChainPlan plan(double alpha, double delta, double min_coverage) const;

 private:
  int64_t n_certify_;
  std::vector<std::vector<int32_t>> disagreement_ranks_;  // 1-based, ascending
  std::vector<int32_t> eligible_;                         // rows of each set that pass the gate
};

struct CertifyOutcome {
  bool certified = false;
  double threshold = 0;       // handle iff score > threshold; 0 handles all that pass the gate
  int64_t handled = 0;        // rows of the certify set above the threshold
  int64_t disagreements = 0;  // among them
  int64_t tested = 0;         // hypotheses looked at
  std::string detail;
};

// The test itself, on rows that nothing was learned from. score, disagree: the certify rows that pass the gate;
// n_certify counts the others too.
CertifyOutcome certify_by_rank(std::span<const double> score, std::span<const uint8_t> disagree, int64_t n_certify,
                               const ChainPlan& plan, double alpha, double delta);

}  // namespace tracer
