#include "engine/learn/refit.h"

#include <algorithm>
#include <utility>

#include "engine/learn/descriptions.h"
#include "engine/learn/softmax_path.h"

namespace tracer {

SearchInput searched_part(const LearnRows& learn, const std::vector<int32_t>& unit, int64_t searched, int64_t classes) {
  SearchInput input;
  input.x = learn.x.rows_from(0, searched);
  input.label.assign(learn.label.begin(), learn.label.begin() + searched);
  input.fold.assign(learn.fold.begin(), learn.fold.begin() + searched);
  input.unit.assign(unit.begin(), unit.begin() + searched);
  input.label_frequency.assign(static_cast<size_t>(classes), 0.0);
  for (int32_t label : learn.label) input.label_frequency[label] += 1.0 / static_cast<double>(learn.label.size());
  input.classes = classes;
  input.descriptions = learn.descriptions;
  return input;
}

Result<Stage> refit(Backend& backend, const SearchResult& search, const LearnRows& learn, int64_t classes) {
  Stage stage;
  const int64_t d = learn.x.cols, searched = static_cast<int64_t>(search.score.size());
  const std::vector<int32_t> label(learn.label.begin(), learn.label.begin() + searched);
  const DescribedRows rows(learn.x, learn.label, learn.fold, learn.descriptions);
  const SoftmaxData data{rows.x(), rows.label(), classes, rows.fold(),
                         searched == learn.x.rows ? &search.moments : nullptr};
  SoftmaxState state = initial_softmax(data, 0);
  for (int64_t c = 0; c < classes; ++c) {
    if (state.weights(d, c) <= kRemovedBias) continue;
    for (int64_t r = 0; r <= d; ++r) state.weights(r, c) = search.start(r, c);
  }
  TRACER_RETURN_IF_ERROR(
      minimise_softmax(backend, data, search.best.cost, {kSearchTolerance, search.iterations}, state));
  stage.softmax.cost = search.best.cost;
  stage.softmax.w = Matrix<float>(d, classes);
  std::copy_n(state.weights.data(), d * classes, stage.softmax.w.data());
  stage.softmax.b.assign(state.weights.row(d), state.weights.row(d) + classes);
  for (const MemberPlan& plan : search.added) {
    TRACER_ASSIGN_OR_RETURN(auto member, learn_member(backend, {learn.x, learn.label, classes}, plan));
    stage.added.push_back(std::move(member));
  }
  if (!search.graph.neighbour.empty()) {  // also where its weight is 0: the acceptor sees it
    TRACER_ASSIGN_OR_RETURN(auto votes, fit_kernel_votes(backend, search.graph, label, classes, {}));
    stage.kernel = {std::move(votes.vote), std::move(votes.prior), static_cast<int>(kKernelVoteNeighbours),
                    search.kernel_temperature};
  }
  stage.neighbours.references = Matrix<float>(searched, d);
  std::copy_n(learn.x.data, searched * d, stage.neighbours.references.data());
  stage.neighbours.label = label;
  stage.neighbours.row.assign(learn.row.begin(), learn.row.begin() + searched);
  stage.neighbours.sharpness = search.best.vote_sharpness;
  stage.kernel_weight = search.best.kernel_weight;
  stage.vote_weight = search.best.vote_weight;
  stage.label_frequency = search.label_frequency;
  stage.acceptor = search.acceptor;
  stage.gate = search.gate;
  return stage;
}

}  // namespace tracer
