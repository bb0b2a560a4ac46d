#include "engine/learn/candidate.h"

#include <algorithm>

#include "engine/maths/binomial.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/gate.h"
#include "engine/prove/rank_chain.h"

namespace tracer {
namespace {

std::vector<double> grid(const std::vector<double>& alphas) {
  constexpr int kPoints = 41;
  const auto [low, high] = std::minmax_element(alphas.begin(), alphas.end());
  const double first = *low - (1 - *low) / 4, last = *high + (1 - *high) / 4;
  std::vector<double> points;
  for (int i = 0; i < kPoints; ++i) points.push_back(first + (last - first) * i / (kPoints - 1));
  return points;
}

// Scores by acceptors of the other folds.
void cross_fit_scores(const SearchInput& input, const std::vector<double>& frequency,
                      const std::vector<RowFeatures>& features, const std::vector<uint8_t>& agree,
                      std::vector<double>& score) {
  for (int32_t fold = 0; fold < input.folds; ++fold) {
    std::vector<RowFeatures> seen;
    std::vector<uint8_t> seen_agree;
    for (size_t i = 0; i < features.size(); ++i)
      if (input.fold[i] != fold) seen.push_back(features[i]), seen_agree.push_back(agree[i]);
    const Acceptor acceptor = fit_acceptor(seen, seen_agree, frequency);
    for (size_t i = 0; i < features.size(); ++i)
      if (input.fold[i] == fold) score[i] = accept_score(acceptor, features[i], frequency[features[i].label]);
  }
}

}  // namespace

Allowance::Allowance(const SearchInput& input)
    : other_score_(input.other_score),
      other_disagree_(input.other_disagree),
      rows_(input.x.rows + input.other_rows),
      ratio_(static_cast<double>(input.n_certify) / static_cast<double>(std::max<int64_t>(rows_, 1))) {
  for (double alpha : grid(input.alphas))
    allowed_.push_back(critical_values(std::max<int64_t>(input.n_certify, 1), 1 - alpha, input.delta));
}

double Allowance::coverage(const Scored& s) const {
  LearnScores eligible = eligible_scores(s.score, s.disagree, s.gated);
  eligible.score.insert(eligible.score.end(), other_score_.begin(), other_score_.end());
  eligible.disagree.insert(eligible.disagree.end(), other_disagree_.begin(), other_disagree_.end());
  const auto disagreements = disagreements_by_rank(eligible);
  std::vector<int64_t> best(allowed_.size(), 0);
  for (size_t r = 1; r < disagreements.size(); ++r) {
    const auto rows = static_cast<int64_t>(static_cast<double>(r) * ratio_);
    for (size_t a = 0; a < allowed_.size(); ++a)
      if (static_cast<double>(disagreements[r]) * ratio_ <= static_cast<double>(allowed_[a][rows]))
        best[a] = static_cast<int64_t>(r);
  }
  double total = 0;
  for (int64_t b : best) total += static_cast<double>(b) / static_cast<double>(rows_);
  return total / static_cast<double>(allowed_.size());
}

Scored score_candidate(const SearchInput& input, const std::vector<double>& frequency,
                       const std::vector<RowFeatures>& features) {
  Scored s;
  const int64_t n = static_cast<int64_t>(features.size());
  std::vector<uint8_t> agree(n), never(input.classes, 0);
  for (int32_t label : input.never) never[label] = 1;
  s.disagree.resize(n), s.score.resize(n), s.gated.resize(n), s.predicted.resize(n);
  for (int64_t i = 0; i < n; ++i) {
    agree[i] = features[i].label == input.label[i];
    s.disagree[i] = !agree[i];
  }
  s.acceptor = fit_acceptor(features, agree, frequency);
  s.gate = fit_gate(features, input.classes, input.choices.gate_share);
  for (int64_t i = 0; i < n; ++i) {
    s.score[i] = accept_score(s.acceptor, features[i], frequency[features[i].label]);
    s.predicted[i] = features[i].label;
    s.gated[i] = out_of_distribution(s.gate, features[i]) || never[features[i].label];
  }
  if (input.other_rows > 0) cross_fit_scores(input, frequency, features, agree, s.score);
  return s;
}

}  // namespace tracer
