#include "engine/learn/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/learn/candidate.h"
#include "engine/learn/label_threshold.h"
#include "engine/policy/added_member.h"

namespace tracer {
namespace {

using Progress = std::function<void(const std::string&)>;

constexpr double kCosts[] = {1, 10, 100, 1000};
constexpr float kVoteWeights[] = {0.0f, 0.25f, 0.5f, 0.75f};
constexpr float kKernelWeights[] = {0.0f, 0.25f, 0.5f, 0.75f, 1.0f};
constexpr float kTemperatures[] = {4, 6, 9, 12, 16, 24};
constexpr float kSharpness = 8.0f;
constexpr int64_t kNeighbours = 15;

// What engine/policy/gate.h asks of each row's neighbours, from their own distances to the rows of other folds.
std::vector<float> neighbourhoods(const Matrix<int32_t>& neighbour, const std::vector<NeighbourSummary>& summary) {
  std::vector<float> distance, mean;
  for (const NeighbourSummary& s : summary) distance.push_back(s.mean_distance_10);
  for (int64_t i = 0; i < neighbour.rows(); ++i)
    mean.push_back(neighbourhood_distance(distance, neighbour.row(i), neighbour.cols()));
  return mean;
}

// Mean of the folds' weights, removed classes counted as 0: where the refit on all rows starts.
Matrix<float> mean_weights(const SoftmaxState& state, int64_t classes) {
  const int64_t rows = state.weights.rows(), models = static_cast<int64_t>(state.held_out.size());
  Matrix<float> mean(rows, classes);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t m = 0; m < models; ++m)
      for (int64_t k = 0; k < classes; ++k) {
        const float w = state.weights(r, m * classes + k);
        mean(r, k) += (r == rows - 1 && w <= kRemovedBias ? 0.0f : w) / static_cast<float>(models);
      }
  return mean;
}

// The kernel vote of each row by a fit on the other folds.
struct OutOfFoldKernel {
  Matrix<float> probability;  // n x C; empty: left out
  float temperature = 1;
  double log_loss = 0;
};

Result<OutOfFoldKernel> out_of_fold_kernel(Backend& backend, const SearchInput& input, const NeighbourGraph& graph) {
  const int64_t n = input.x.rows, k = graph.neighbour.cols();
  OutOfFoldKernel found{Matrix<float>(n, input.classes)};
  Matrix<float> score(n, input.classes);
  std::vector<uint8_t> learns(n);
  for (int32_t fold = 0; fold < input.folds; ++fold) {
    std::vector<int32_t> held_out;
    for (int64_t i = 0; i < n; ++i) {
      learns[i] = input.fold[i] != fold;
      if (!learns[i]) held_out.push_back(static_cast<int32_t>(i));
    }
    TRACER_ASSIGN_OR_RETURN(auto votes, fit_kernel_votes(backend, graph, input.label, input.classes, learns));
    const auto rows = static_cast<int64_t>(held_out.size());
    Matrix<int32_t> neighbour(rows, k);
    Matrix<float> similarity(rows, k), y(rows, input.classes);
    for (int64_t i = 0; i < rows; ++i) {
      int64_t used = 0;
      for (int64_t j = 0; j < k; ++j) {
        const int32_t other = graph.neighbour(held_out[i], j);
        if (other < 0 || !learns[other]) continue;
        neighbour(i, used) = other;
        similarity(i, used++) = graph.similarity(held_out[i], j);
      }
      std::fill(neighbour.row(i) + used, neighbour.row(i) + k, -1);
    }
    TRACER_RETURN_IF_ERROR(
        kernel_scores(backend, neighbour.view(), similarity.view(), votes.vote.view(), votes.prior, y.view()));
    for (int64_t i = 0; i < rows; ++i) std::copy_n(y.row(i), input.classes, score.row(held_out[i]));
  }
  found.log_loss = std::numeric_limits<double>::infinity();
  for (float temperature : kTemperatures) {
    Matrix<float> p = score.clone();
    kernel_probabilities(backend, temperature, p.view());
    const double loss = out_of_fold_log_loss(std::as_const(p).view(), input.label);
    if (!(loss < found.log_loss)) continue;
    found.log_loss = loss;
    found.temperature = temperature;
    found.probability = std::move(p);
  }
  return found;
}

// Softmax regression along the path; what is left is the strength of the least out-of-fold loss. moments: what it
// learned from, as row_moments.
struct Path {
  double cost = 0;
  double log_loss = std::numeric_limits<double>::infinity();
  Matrix<float> probability;  // n x C, out-of-fold
  Matrix<float> start;
};

Result<Path> softmax_path(Backend& backend, const SearchInput& input, RowMoments& moments, const Progress& progress,
                          std::vector<std::string>& cut) {
  const DescribedRows rows(input.x, input.label, input.fold, input.descriptions);
  TRACER_ASSIGN_OR_RETURN(moments, row_moments(backend, rows.x()));
  const SoftmaxData data{rows.x(), rows.label(), input.classes, rows.fold(), &moments};
  SoftmaxState state = initial_softmax(data, input.folds);
  const int iterations = search_iterations(input.x.rows, input.x.cols, input.classes, input.folds);
  Path best;
  for (double cost : kCosts) {
    if (best.cost > 0 && input.spent && input.spent()) {
      cut.push_back("softmax regression of cost " + std::to_string(static_cast<int>(cost)) + " and above");
      break;
    }
    Matrix<float> probability(input.x.rows, input.classes);
    TRACER_RETURN_IF_ERROR(minimise_softmax(backend, data, cost, {kSearchTolerance, iterations}, state));
    TRACER_RETURN_IF_ERROR(out_of_fold_probability(backend, data, state, probability.view()));
    const double loss = out_of_fold_log_loss(std::as_const(probability).view(), input.label);
    if (progress)
      progress("softmax regression, cost " + std::to_string(static_cast<int>(cost)) + ": out-of-fold loss " +
               std::to_string(loss) + ", " +
               std::to_string(*std::max_element(state.iterations.begin(), state.iterations.end())) + " iterations");
    if (!(loss < best.log_loss)) break;  // weaker regularisation only overfits from here
    best = {cost, loss, std::move(probability), mean_weights(state, input.classes)};
  }
  return best;
}

// l2d_label in place of l2d where the rows allow more coverage under offsets that they were not learned from.
void choose_label_thresholds(const SearchInput& input, const Allowance& allowance, SearchResult& result,
                             const Progress& progress) {
  constexpr double kStrengths[] = {1, 3, 10, 30};
  Scored s;
  s.disagree = result.disagree, s.gated = result.gated;
  std::vector<double> best;
  double coverage = result.best.coverage, strength = 0, most = 0;
  for (double tried : kStrengths) {
    s.score = cross_fitted_scores(result.score, result.disagree, result.predicted, input.fold, input.folds,
                                  input.classes, tried);
    const double covered = allowance.coverage(s);
    most = std::max(most, covered);
    if (!(covered > coverage)) continue;
    coverage = covered, strength = tried, best = s.score;
  }
  if (progress)
    progress("thresholds by label: out-of-fold coverage " + std::to_string(most) + ", one for all " +
             std::to_string(result.best.coverage) + (best.empty() ? "; l2d stays" : "; l2d_label"));
  if (best.empty()) return;
  result.acceptor.label_offset =
      fit_label_offsets(result.score, result.disagree, result.predicted, {}, input.classes, strength);
  result.score = std::move(best);
}

// "weights: softmax 0.4, mlp 0.6"
std::string weights_in_words(const OutOfFoldMembers& found) {
  const auto shown = [](double w) { return std::to_string(std::llround(100 * w)) + " %"; };
  double rest = 1;
  std::string text;
  for (const MemberPlan& plan : found.plan) {
    rest -= static_cast<double>(plan.weight);
    text += std::string(", ") + to_string(plan.kind) + " " + shown(static_cast<double>(plan.weight));
  }
  return "weights by out-of-fold loss: softmax " + shown(rest) + text;
}

// One search on its way: a method a step, in the order of run().
class Search {
 public:
  Search(Backend& backend, const SearchInput& input, const Progress& progress)
      : backend_(backend),
        input_(input),
        progress_(progress),
        n_(input.x.rows),
        neighbour_(n_, kNeighbours),
        similarity_(n_, kNeighbours),
        allowance_(input) {}
  Result<SearchResult> run();

 private:
  void count_labels();
  Status look_up_neighbours();
  Status learn_kernel_vote();
  Status try_blends(const Matrix<float>& base, const OutOfFoldMembers& added);
  Status try_blend(const Matrix<float>& mixed, float kernel_weight, float vote_weight, const OutOfFoldMembers& added);
  void view_rows(const OutOfFoldMembers& added);
  void keep(const Candidate& candidate, Scored&& scored, const OutOfFoldMembers& added);
  Status try_added();

  bool spent() const { return input_.spent && input_.spent(); }
  void say(const std::string& what) const {
    if (progress_) progress_(what);
  }

  Backend& backend_;
  const SearchInput& input_;
  const Progress& progress_;
  const int64_t n_;
  Matrix<int32_t> neighbour_;  // n x 15: the nearest rows of other folds
  Matrix<float> similarity_;   // n x 15
  std::vector<float> neighbourhood_;
  OutOfFoldKernel kernel_;
  Path path_;
  const Allowance allowance_;
  std::vector<DecisionFeatures> decided_;  // n: of the blend at hand
  std::vector<RowFeatures> features_;      // n
  bool stopped_ = false;                   // the budget ended the blends
  SearchResult result_;
};

Result<SearchResult> Search::run() {
  count_labels();
  TRACER_RETURN_IF_ERROR(look_up_neighbours());
  TRACER_RETURN_IF_ERROR(learn_kernel_vote());
  say("nearest neighbours of " + std::to_string(n_) + " rows" +
      (kernel_.probability.empty() ? "" : ", kernel vote: out-of-fold loss " + std::to_string(kernel_.log_loss)));
  TRACER_ASSIGN_OR_RETURN(path_, softmax_path(backend_, input_, result_.moments, progress_, result_.cut));
  TRACER_RETURN_IF_ERROR(try_blends(path_.probability, {}));
  if (input_.choices.members.any()) TRACER_RETURN_IF_ERROR(try_added());
  if (input_.choices.label_thresholds) choose_label_thresholds(input_, allowance_, result_, progress_);
  if (stopped_) result_.cut.push_back("blends after " + std::to_string(result_.tried.size()));
  result_.start = std::move(path_.start);
  result_.iterations = search_iterations(n_, input_.x.cols, input_.classes, input_.folds);
  return std::move(result_);
}

void Search::count_labels() {
  result_.label_frequency = input_.label_frequency;
  if (!result_.label_frequency.empty()) return;
  result_.label_frequency.assign(input_.classes, 0.0);
  for (int32_t l : input_.label) result_.label_frequency[l] += 1.0 / static_cast<double>(n_);
}

Status Search::look_up_neighbours() {
  std::vector<NeighbourSummary> summary(static_cast<size_t>(n_));
  TRACER_ASSIGN_OR_RETURN(auto references, backend_.prepare_references(input_.x, {input_.fold, {}, n_}));
  TRACER_RETURN_IF_ERROR(
      backend_.topk_cosine(input_.x, *references, input_.fold, TopK{neighbour_.view(), similarity_.view()}, summary));
  neighbourhood_ = neighbourhoods(neighbour_, summary);
  return {};
}

Status Search::learn_kernel_vote() {
  if (n_ * input_.classes > kKernelVoteEntries) return {};
  if (spent()) {
    result_.cut.push_back("kernel vote");
    return {};
  }
  TRACER_ASSIGN_OR_RETURN(result_.graph, neighbour_graph(backend_, input_.x, kKernelVoteNeighbours, input_.unit));
  TRACER_ASSIGN_OR_RETURN(kernel_, out_of_fold_kernel(backend_, input_, result_.graph));
  result_.kernel_temperature = kernel_.temperature;
  return {};
}

// All blends of base (the softmax regression, or its mixture with added members) with the two votes.
Status Search::try_blends(const Matrix<float>& base, const OutOfFoldMembers& added) {
  Matrix<float> s(n_, input_.classes);
  for (float u : kKernelWeights) {
    if (stopped_ || (u > 0 && kernel_.probability.empty())) break;
    if (u > 0) blend(backend_, base.view(), kernel_.probability.view(), u, s.view());
    for (float v : kVoteWeights) {
      if (!result_.tried.empty() && (stopped_ = stopped_ || spent())) break;
      TRACER_RETURN_IF_ERROR(try_blend(u > 0 ? s : base, u, v, added));
    }
  }
  return {};
}

Status Search::try_blend(const Matrix<float>& mixed, float kernel_weight, float vote_weight,
                         const OutOfFoldMembers& added) {
  decided_.resize(static_cast<size_t>(n_));
  const NeighbourVote vote{neighbour_.view(), similarity_.view(), input_.label, vote_weight, kSharpness};
  TRACER_RETURN_IF_ERROR(backend_.decision_features_from(mixed.view(), vote, decided_));
  view_rows(added);
  Scored scored = score_candidate(input_, result_.label_frequency, features_);
  Candidate c{path_.cost,          kernel_weight,  vote_weight, kSharpness,
              !added.plan.empty(), path_.log_loss, 0,           allowance_.coverage(scored)};
  c.agreement = 1 - std::accumulate(scored.disagree.begin(), scored.disagree.end(), 0.0) / static_cast<double>(n_);
  const bool first = result_.tried.empty();
  result_.tried.push_back(c);
  // Strictly better, so that ties go to the smaller votes.
  if (first || c.coverage > result_.best.coverage) keep(c, std::move(scored), added);
  return {};
}

// What the acceptor and the gate see of each row.
void Search::view_rows(const OutOfFoldMembers& added) {
  features_.resize(static_cast<size_t>(n_));
  for (int64_t i = 0; i < n_; ++i) {
    const int32_t label = decided_[i].label;
    features_[i] = {decided_[i], neighbourhood_[i], member_view(path_.probability.row(i), input_.classes, label), {}};
    if (!kernel_.probability.empty())
      features_[i].kernel = member_view(kernel_.probability.row(i), input_.classes, label);
    for (const Matrix<float>& p : added.probability)
      features_[i].added[features_[i].n_added++] = member_view(p.row(i), input_.classes, label);
  }
}

void Search::keep(const Candidate& candidate, Scored&& scored, const OutOfFoldMembers& added) {
  result_.best = candidate;
  result_.disagree = std::move(scored.disagree);
  result_.score = std::move(scored.score);
  result_.predicted = std::move(scored.predicted);
  result_.gated = std::move(scored.gated);
  result_.acceptor = std::move(scored.acceptor);
  result_.gate = std::move(scored.gate);
  result_.added = added.plan;
}

// The members of --members, weighed by out-of-fold loss, and the blends of what they make of the softmax regression.
Status Search::try_added() {
  TRACER_ASSIGN_OR_RETURN(auto found, out_of_fold_members(backend_, {{input_.x, input_.label, input_.classes},
                                                                     input_.fold,
                                                                     input_.folds,
                                                                     input_.choices.members,
                                                                     input_.seed,
                                                                     path_.log_loss,
                                                                     input_.spent,
                                                                     progress_}));
  result_.cut.insert(result_.cut.end(), found.cut.begin(), found.cut.end());
  weigh_members(std::as_const(path_.probability).view(), input_.label, found);
  say(weights_in_words(found));
  if (found.plan.empty()) return {};
  std::vector<float> weights;
  for (const MemberPlan& plan : found.plan) weights.push_back(plan.weight);
  Matrix<float> q(n_, input_.classes);
  mix_members(backend_, std::as_const(path_.probability).view(), weights, found.probability, q.view());
  return try_blends(q, found);
}

}  // namespace

int search_iterations(int64_t rows, int64_t dimension, int64_t classes, int folds) {
  constexpr double kOperations = 2e13;
  const double each = 4 * static_cast<double>(rows) * static_cast<double>(dimension) * static_cast<double>(classes) *
                      static_cast<double>(std::max(folds - 1, 1));
  return static_cast<int>(std::clamp(kOperations / std::max(each, 1.0), 8.0, 200.0));
}

Result<SearchResult> search_surrogate(Backend& backend, const SearchInput& input,
                                      const std::function<void(const std::string&)>& progress) {
  return Search(backend, input, progress).run();
}

}  // namespace tracer
