#include "engine/learn/residual.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/maths/binomial.h"
#include "engine/maths/pick.h"
#include "engine/prove/rank_chain.h"

namespace tracer {
namespace {

// Rows scored above it are those that certify rows would allow at alpha; 1: none, 0: all.
double threshold_in_reach(const SearchInput& input, const SearchResult& search, double alpha) {
  const LearnScores eligible = eligible_scores(search.score, search.disagree, search.gated);
  const std::vector<int64_t> bad = disagreements_by_rank(eligible);
  const std::vector<int64_t> allowed = critical_values(std::max<int64_t>(input.n_certify, 1), 1 - alpha, input.delta);
  const double ratio = static_cast<double>(input.n_certify) / static_cast<double>(std::max<int64_t>(input.x.rows, 1));
  auto r = static_cast<int64_t>(bad.size()) - 1;
  const auto fits = [&](int64_t rows) {
    const auto certify_rows = static_cast<size_t>(static_cast<double>(rows) * ratio);
    return static_cast<double>(bad[static_cast<size_t>(rows)]) * ratio <= static_cast<double>(allowed[certify_rows]);
  };
  while (r > 0 && !fits(r)) --r;
  if (r == 0) return 1;
  if (r == static_cast<int64_t>(eligible.score.size())) return 0;
  const std::vector<int32_t> order = best_first(eligible.score);
  return eligible.score[static_cast<size_t>(order[static_cast<size_t>(r)])];
}

// Some of the learn rows, as rows of a log of their own.
struct Part {
  std::vector<int32_t> at;  // ascending
  Matrix<float> x;
  LearnRows rows;
};

Part part_of(const LearnRows& learn, std::vector<int32_t> at) {
  Part part{std::move(at), {}, {}};
  part.x = pick_rows(learn.x, part.at);
  part.rows = {std::as_const(part.x).view(), pick(learn.label, part.at), pick(learn.fold, part.at),
               pick(learn.row, part.at)};
  return part;
}

bool in_every_fold(const std::vector<int32_t>& fold, int folds) {
  std::vector<uint8_t> seen(static_cast<size_t>(folds), 0);
  for (int32_t f : fold) seen[static_cast<size_t>(f)] = 1;
  return std::count(seen.begin(), seen.end(), 0) == 0;
}

}  // namespace

Result<bool> add_residual(Backend& backend, const SearchInput& input, const LearnRows& learn, double alpha,
                          FirstStage first, const std::function<void(const std::string&)>& progress) {
  SearchResult& search = first.search;
  const auto say = [&](const std::string& what) {
    if (progress) progress("rsb: " + what);
  };
  const double below = threshold_in_reach(input, search, alpha);
  std::vector<uint8_t> never(static_cast<size_t>(input.classes), 0);
  for (int32_t label : input.never) never[static_cast<size_t>(label)] = 1;
  std::vector<int32_t> left;
  for (size_t i = 0; i < search.score.size(); ++i)
    if ((!search.gated[i] || never[static_cast<size_t>(search.predicted[i])]) && search.score[i] <= below)
      left.push_back(static_cast<int32_t>(i));
  if (below >= 1 || static_cast<int64_t>(left.size()) < kFewestResidual) {
    say(below >= 1 ? "no rows are within reach of the first surrogate"
                   : std::to_string(left.size()) + " rows are deferred, too few to learn from");
    return false;
  }
  const Part part = part_of(learn, std::move(left));
  if (!in_every_fold(part.rows.fold, input.folds)) {
    say("a fold has none of the deferred rows");
    return false;
  }
  SearchInput second = searched_part(part.rows, pick(input.unit, part.at), part.x.rows(), input.classes);
  second.folds = input.folds, second.alphas = input.alphas, second.delta = input.delta;
  second.never = input.never, second.seed = input.seed, second.spent = input.spent;
  second.n_certify = input.n_certify, second.choices.gate_share = input.choices.gate_share;
  second.other_rows = input.x.rows - part.x.rows();
  std::vector<uint8_t> answered_here(search.score.size(), 0);
  for (int32_t i : part.at) answered_here[static_cast<size_t>(i)] = 1;
  for (size_t i = 0; i < search.score.size(); ++i)
    if (!answered_here[i] && !search.gated[i]) {
      second.other_score.push_back(search.score[i]);
      second.other_disagree.push_back(search.disagree[i]);
    }
  TRACER_ASSIGN_OR_RETURN(auto found, search_surrogate(backend, second, {}));
  say(std::to_string(part.at.size()) + " rows are deferred; coverage with a second surrogate " +
      std::to_string(found.best.coverage) + ", with one " + std::to_string(search.best.coverage));
  if (!(found.best.coverage > search.best.coverage + kResidualGain)) return false;
  TRACER_ASSIGN_OR_RETURN(auto stage, refit(backend, found, part.rows, input.classes));
  first.stage.residual = std::make_unique<Stage>(std::move(stage));
  first.stage.residual_below = below;
  for (size_t i = 0; i < part.at.size(); ++i) {
    const auto at = static_cast<size_t>(part.at[i]);
    search.score[at] = found.score[i];
    search.predicted[at] = found.predicted[i];
    search.disagree[at] = found.disagree[i];
    search.gated[at] = found.gated[i];
  }
  return true;
}

}  // namespace tracer
