// The text stage of a cascade at work. It is computed in float64, in one fixed order, on the CPU whatever the backend,
// so its answers are the same everywhere and need no band (engine/policy/canonical.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/policy/policy.h"
#include "engine/policy/router.h"
#include "engine/text/ngrams.h"
#include "kernels/backend.h"

namespace tracer {

inline constexpr int64_t kTextFeatures = 7;

// What softmax regression says of a row.
struct TextAnswer {
  int32_t label = 0;  // ties to the lower
  double top1 = 0;
  double top2 = 0;
  double entropy = 0;  // divided by ln C, in [0, 1]
};
// w: rows by bucket, x C; bias: C. scratch receives the C probabilities.
TextAnswer text_answer(const NgramRow& row, HostMatrix<const float> w, const float* bias, std::vector<double>& scratch);

// Share of the row's words that are not in the set; 1 where it has no word.
double unseen_share(const NgramRow& row, std::span<const uint64_t> words);

// What the acceptor sees, kTextFeatures values: every one is finite.
void text_features(const TextAnswer& answer, double unseen, size_t words, double label_frequency,
                   std::span<double> out);

// One text: label, score and the three decision features are set, `text` is true. gated: more of its words are unseen
// than the stage takes, so it is left to the next stage. Thread-safe with a hasher and scratch for each thread.
struct TextScratch {
  NgramHasher hasher;
  NgramRow row;
  std::vector<double> values;
};
RowScore score_text(const TextStage& stage, std::string_view text, TextScratch& scratch);

// Whether the text stage answers the row, as far as the rule's certificate goes: it is not gated, its label is not one
// of --never, and its score is above the text threshold. A score that is no number (damaged weights) is an answer, for
// the caller to refuse.
inline bool text_stage_answers(const RowScore& row, const DecisionRule& rule) {
  if (row.gated || row.score <= rule.text_threshold) return false;
  return rule.by_label.empty() || rule.by_label[row.features.label] != Reason::kNeverLabel;
}

// Of each text the text stage's answer, or nothing: then the next stage answers. backend: whose threads to use, or
// null. probability, if it has rows (n x C), receives the probabilities of the texts that are answered. Cost: about 10
// microseconds a text.
void answer_texts(Backend* backend, const TextStage& stage, const DecisionRule& rule,
                  std::span<const std::string> texts, std::vector<std::optional<RowScore>>& out,
                  HostMatrix<float> probability = {});

}  // namespace tracer
