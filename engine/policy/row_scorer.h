// The one way from rows to scores: a frozen stage, or a policy's pair of stages, is prepared once and then scores any
// number of rows. Whoever certifies, answers, explains or compares rows scores the rows here.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/router.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer {

inline constexpr int64_t kScoredTogether = 4096;  // rows of a block

struct ScorerOptions {
  // The thresholds of all decisions that the scores are for. A row next to a threshold gets its canonical score
  // (engine/policy/canonical.h), so that every backend decides alike.
  std::vector<double> thresholds = {};
  // Every row gets its canonical score. Rows that certify a policy are scored so.
  bool canonical = false;
  // About how many rows will be scored. Few rows are not worth much preparing.
  int64_t expected_rows = std::numeric_limits<int64_t>::max();
};

// n rows to score.
struct RowsToScore {
  // The vectors of the rows, or, if `pick` is set, a matrix that holds them among others. Vectors have length 1 unless
  // `normalise` is set.
  HostMatrix<const float> x = {};
  // If set: row i is row pick[i] of x.
  std::optional<std::span<const int32_t>> pick = {};
  // If set: each block is copied and its rows are scaled to length 1 before they are scored.
  bool normalise = false;
  // The texts of the n rows, for the text stage of a cascade. If there are none, the stage on vectors answers all rows.
  std::span<const std::string> texts = {};
  // If set: blocks carry neighbours and probabilities. A scorer of canonical scores has none to give.
  bool details = false;
  // How a message names row i. If this is empty, the name is "row i".
  std::function<std::string(int64_t)> name = {};
};

// Consecutive rows, scored. A block is valid until the function that takes it returns.
struct ScoredBlock {
  int64_t first = 0;  // the number of the block's first row
  std::span<const RowScore> score;
  // If details were asked for; without them the matrices have no rows.
  HostMatrix<const int32_t> neighbour;  // rows x k: references, the nearest first; -1 if there are fewer
  HostMatrix<const float> similarity;   // rows x k: their cosines
  HostMatrix<const float> probability;  // rows x C: what the stage that answers the row says of each label
};

// Belongs to the backend and refers to the policy or the stage: both must outlive the scorer and stay where they are.
// The scorer never changes once it is open; threads may share a scorer as far as they may share its backend. The score
// of a row depends on the row, its text, the stages and the options, never on the other rows or on blocks.
class RowScorer {
 public:
  // Scores for the decisions of one rule of the policy (decision_rule()). If the policy is a cascade, and if rows come
  // with their texts, the text stage answers before the stage on vectors. kInternal: the policy has no stage.
  static Result<RowScorer> open(Backend& backend, const Policy& policy, DecisionRule rule,
                                int64_t expected_rows = std::numeric_limits<int64_t>::max());
  // Scores of a stage on vectors alone, for decisions by several rules or by none.
  static Result<RowScorer> open(Backend& backend, const Stage& stage, ScorerOptions options);

  // The rule that the scorer was opened with: decide(score, rule()). A scorer of a stage alone has none to decide by.
  const DecisionRule& rule() const { return rule_; }
  // Whether a text stage may answer rows: such a scorer wants texts.
  bool has_text_stage() const { return text_ != nullptr; }

  // Gives the rows to `take` in order, in blocks of kScoredTogether rows; the last block may be smaller. An error of
  // `take` ends the pass and is returned.
  // If texts are given, a row that the text stage answers has the text stage's score and features. No vector of such a
  // row is looked at, unless details are asked for: then the neighbours and features.nearest are the vector's, and the
  // probabilities are the text stage's.
  // Errors: kBadInput names the row whose score is not finite, which only damaged numbers of a policy cause;
  // kOutOfMemory; kInternal if texts and rows differ in number, and for details of canonical scores; what the backend
  // reports. Cost: that of score_rows() (engine/policy/router.h), and 10 microseconds a text. Memory: O(4096 (d + k +
  // C)).
  Status score(const RowsToScore& rows, const std::function<Status(const ScoredBlock&)>& take) const;
  // The same, with all scores in `out`, in order. Details are not asked for. Memory: O(n) more.
  Status score(const RowsToScore& rows, std::vector<RowScore>& out) const;

  // For a caller that makes vectors only of the rows that need one: first answer_texts(), then score_rest().
  // Of each text the text stage's answer, or nothing where the stage on vectors answers. Without a text stage all are
  // nothing. probability, if it has rows (n x C), receives the probabilities of the texts that are answered. The
  // answers are not checked: score_rest() checks them, and so does check_score().
  void answer_texts(std::span<const std::string> texts, std::vector<std::optional<RowScore>>& out,
                    HostMatrix<float> probability = {}) const;
  // x: the vectors of the rows that have no answer, in order; x has as many rows. out: the scores of all rows, answered
  // or not, in order. All vectors are scored together, so x should hold thousands of rows, not millions. name: as in
  // RowsToScore, by the number among all rows. Errors: as score(); kInternal if x has more rows or fewer.
  Status score_rest(HostMatrix<const float> x, std::span<const std::optional<RowScore>> answered,
                    std::vector<RowScore>& out, const std::function<std::string(int64_t)>& name = {}) const;

 private:
  RowScorer(Backend& backend, PreparedStage stage, bool canonical)
      : backend_(&backend), stage_(std::move(stage)), canonical_(canonical) {}
  struct Block;
  Status score_vectors(HostMatrix<const float> x, std::vector<RowScore>& out) const;
  Status score_block(const RowsToScore& rows, int64_t count, Block& block) const;
  Status merge_rest(HostMatrix<const float> x, std::span<const std::optional<RowScore>> answered,
                    std::vector<RowScore>& out) const;

  Backend* backend_;
  PreparedStage stage_;
  bool canonical_ = false;
  const TextStage* text_ = nullptr;
  DecisionRule rule_;
};

// kBadInput, naming the row, if the score is not finite. Such a row is neither handled nor deferred.
Status check_score(const RowScore& score, const std::string& row);

}  // namespace tracer
