// Learning the text stage of a cascade, cross-validated.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/policy/policy.h"
#include "kernels/backend.h"
#include "kernels/status.h"

namespace tracer {

inline constexpr int64_t kMostTextLabels = 2048;

struct TextSearchInput {
  std::vector<std::string_view> text;  // n: of the learn rows that candidates are compared on
  std::span<const int32_t> label;      // n
  std::span<const int32_t> fold;       // n
  int folds = 0;                       // >= 2
  int64_t classes = 0;
  std::span<const double> label_frequency;  // C: share of all learn rows
  std::span<const int32_t> never;           // ascending: labels that it leaves to the next stage
};

// What the stage says of rows that it did not learn from.
struct TextSide {
  std::vector<double> score;
  std::vector<int32_t> predicted;
  std::vector<uint8_t> closed;  // left to the next stage whatever the score: too many unseen words, or a label of never
};

struct TextSearchResult {
  TextStage stage;      // learned from all rows
  TextSide side;        // out-of-fold
  double log_loss = 0;  // out-of-fold
  double agreement = 0;
};

// Softmax regression along a path of strengths (strong to weak, until out-of-fold loss falls by less than a fiftieth),
// the acceptor and the limit of unseen words on out-of-fold rows, then once more from all rows, from the mean of the
// folds' weights on, so that scores fixed out-of-fold mean the same. kBadInput for more than kMostTextLabels labels.
// Deterministic for any thread count in the backend's isa. Cost: about (folds + 1) * 5 * 25 iterations of 4 C flops an
// n-gram. Memory: (16 + folds) kNgramBuckets C + 3 n C floats, and about 1 kB a text.
Result<TextSearchResult> search_text_stage(Backend& backend, const TextSearchInput& input,
                                           const std::function<void(const std::string&)>& progress);

// The frozen stage on other rows.
TextSide score_texts(Backend& backend, const TextStage& stage, std::span<const std::string_view> texts,
                     std::span<const int32_t> never);

}  // namespace tracer
