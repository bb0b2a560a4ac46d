#include "engine/learn/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/learn/label_threshold.h"
#include "engine/maths/binomial.h"
#include "engine/policy/acceptor.h"
#include "engine/policy/network.h"
#include "engine/prove/rank_chain.h"

namespace tracer {
namespace {

constexpr double kCosts[] = {1, 10, 100, 1000};
constexpr float kVoteWeights[] = {0.0f, 0.25f, 0.5f, 0.75f};
constexpr float kKernelWeights[] = {0.0f, 0.25f, 0.5f, 0.75f, 1.0f};
constexpr float kTemperatures[] = {4, 6, 9, 12, 16, 24};
constexpr float kSharpness = 8.0f;
constexpr int64_t kNeighbours = 15;

// Everything that follows from one candidate's out-of-fold features.
struct Scored {
  std::vector<uint8_t> disagree;
  std::vector<double> score;
  std::vector<int32_t> predicted;
  std::vector<uint8_t> gated;
  Acceptor acceptor;
  OodGate gate;
};

// Mean over a grid of alphas, from a little below the least to a little above the largest of the sweep, of the largest
// share of rows whose disagreements a certify set would allow. The sweep's own few alphas would make a noisy criterion:
// near 0.99 a handful of rows moves the share by some percent.
class Allowance {
 public:
  explicit Allowance(const SearchInput& input)
      : other_score_(input.other_score),
        other_disagree_(input.other_disagree),
        rows_(input.x.rows + input.other_rows),
        ratio_(static_cast<double>(input.n_certify) / static_cast<double>(std::max<int64_t>(rows_, 1))) {
    for (double alpha : grid(input.alphas))
      allowed_.push_back(critical_values(std::max<int64_t>(input.n_certify, 1), 1 - alpha, input.delta));
  }

  double coverage(const Scored& s) const {
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

 private:
  static std::vector<double> grid(const std::vector<double>& alphas) {
    constexpr int kPoints = 41;
    const auto [low, high] = std::minmax_element(alphas.begin(), alphas.end());
    const double first = *low - (1 - *low) / 4, last = *high + (1 - *high) / 4;
    std::vector<double> points;
    for (int i = 0; i < kPoints; ++i) points.push_back(first + (last - first) * i / (kPoints - 1));
    return points;
  }
  const std::vector<double>& other_score_;
  const std::vector<uint8_t>& other_disagree_;
  int64_t rows_;
  double ratio_;
  std::vector<std::vector<int64_t>> allowed_;
};

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
  s.gate = fit_gate(features, input.classes, input.gate_share);
  for (int64_t i = 0; i < n; ++i) {
    s.score[i] = accept_score(s.acceptor, features[i], frequency[features[i].label]);
    s.predicted[i] = features[i].label;
    s.gated[i] = out_of_distribution(s.gate, features[i]) || never[features[i].label];
  }
  if (input.other_rows > 0) cross_fit_scores(input, frequency, features, agree, s.score);
  return s;
}

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

Result<Path> softmax_path(Backend& backend, const SearchInput& input, RowMoments& moments,
                          const std::function<void(const std::string&)>& progress, std::vector<std::string>& cut) {
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
                             const std::function<void(const std::string&)>& progress) {
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
std::string weights_in_words(const OutOfFoldNetworks& found) {
  const auto shown = [](double w) { return std::to_string(std::llround(100 * w)) + " %"; };
  double rest = 1;
  std::string text;
  for (const NetworkPlan& plan : found.plan) {
    rest -= static_cast<double>(plan.weight);
    text += ", " + plan.kind + " " + shown(static_cast<double>(plan.weight));
  }
  return "weights by out-of-fold loss: softmax " + shown(rest) + text;
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
  const int64_t n = input.x.rows;
  SearchResult result;
  result.label_frequency = input.label_frequency;
  if (result.label_frequency.empty()) {
    result.label_frequency.assign(input.classes, 0.0);
    for (int32_t l : input.label) result.label_frequency[l] += 1.0 / static_cast<double>(n);
  }

  Matrix<int32_t> neighbour(n, kNeighbours);
  Matrix<float> similarity(n, kNeighbours);
  std::vector<NeighbourSummary> summary(static_cast<size_t>(n));
  {
    TRACER_ASSIGN_OR_RETURN(auto references, backend.prepare_references(input.x, {input.fold, {}, n}));
    TRACER_RETURN_IF_ERROR(
        backend.topk_cosine(input.x, *references, input.fold, TopK{neighbour.view(), similarity.view()}, summary));
  }
  const std::vector<float> neighbourhood = neighbourhoods(neighbour, summary);
  const NeighbourVote no_vote{neighbour.view(), similarity.view(), input.label, 0.0f, kSharpness};
  OutOfFoldKernel kernel;
  const auto spent = [&] { return input.spent && input.spent(); };
  if (n * input.classes <= kKernelVoteEntries && spent()) {
    result.cut.push_back("kernel vote");
  } else if (n * input.classes <= kKernelVoteEntries) {
    TRACER_ASSIGN_OR_RETURN(auto graph, neighbour_graph(backend, input.x, kKernelVoteNeighbours, input.unit));
    result.graph = std::move(graph);
    TRACER_ASSIGN_OR_RETURN(kernel, out_of_fold_kernel(backend, input, result.graph));
    result.kernel_temperature = kernel.temperature;
  }
  if (progress)
    progress("nearest neighbours of " + std::to_string(n) + " rows" +
             (kernel.probability.empty() ? "" : ", kernel vote: out-of-fold loss " + std::to_string(kernel.log_loss)));

  TRACER_ASSIGN_OR_RETURN(auto path, softmax_path(backend, input, result.moments, progress, result.cut));

  const Allowance allowance(input);
  std::vector<DecisionFeatures> decided(n);
  std::vector<RowFeatures> features(n);
  Matrix<float> s(n, input.classes);
  bool have = false, stopped = false;
  // All blends of base (the softmax regression, or its mixture with networks) with the two votes.
  const auto try_blends = [&](const Matrix<float>& base, const OutOfFoldNetworks& networks) -> Status {
    for (float u : kKernelWeights) {
      if (stopped || (u > 0 && kernel.probability.empty())) break;
      if (u > 0) blend(backend, base.view(), kernel.probability.view(), u, s.view());
      const Matrix<float>& mixed = u > 0 ? s : base;
      for (float v : kVoteWeights) {
        if (have && (stopped = stopped || spent())) break;
        NeighbourVote vote = no_vote;
        vote.weight = v;
        TRACER_RETURN_IF_ERROR(backend.decision_features_from(mixed.view(), vote, decided));
        for (int64_t i = 0; i < n; ++i) {
          const int32_t label = decided[i].label;
          features[i] = {decided[i], neighbourhood[i], member_view(path.probability.row(i), input.classes, label), {}};
          if (!kernel.probability.empty())
            features[i].kernel = member_view(kernel.probability.row(i), input.classes, label);
          for (const Matrix<float>& p : networks.probability)
            features[i].network[features[i].networks++] = member_view(p.row(i), input.classes, label);
        }
        Scored scored = score_candidate(input, result.label_frequency, features);
        Candidate c{path.cost, u, v, kSharpness, !networks.plan.empty(), path.log_loss, 0, allowance.coverage(scored)};
        c.agreement = 1 - std::accumulate(scored.disagree.begin(), scored.disagree.end(), 0.0) / static_cast<double>(n);
        result.tried.push_back(c);
        // Strictly better, so that ties go to the smaller votes.
        if (have && !(c.coverage > result.best.coverage)) continue;
        have = true;
        result.best = c;
        result.disagree = std::move(scored.disagree);
        result.score = std::move(scored.score);
        result.predicted = std::move(scored.predicted);
        result.gated = std::move(scored.gated);
        result.acceptor = std::move(scored.acceptor);
        result.gate = std::move(scored.gate);
        result.networks = networks.plan;
      }
    }
    return {};
  };
  TRACER_RETURN_IF_ERROR(try_blends(path.probability, {}));
  if (input.members.any()) {
    TRACER_ASSIGN_OR_RETURN(auto found, out_of_fold_networks(backend, {{input.x, input.label, input.classes},
                                                                       input.fold,
                                                                       input.folds,
                                                                       input.members,
                                                                       input.seed,
                                                                       path.log_loss,
                                                                       input.spent,
                                                                       progress}));
    result.cut.insert(result.cut.end(), found.cut.begin(), found.cut.end());
    weigh_networks(std::as_const(path.probability).view(), input.label, found);
    if (progress) progress(weights_in_words(found));
    if (!found.plan.empty()) {
      std::vector<float> weights;
      for (const NetworkPlan& plan : found.plan) weights.push_back(plan.weight);
      Matrix<float> q(n, input.classes);
      mix_networks(backend, std::as_const(path.probability).view(), weights, found.probability, q.view());
      TRACER_RETURN_IF_ERROR(try_blends(q, found));
    }
  }
  if (input.label_thresholds) choose_label_thresholds(input, allowance, result, progress);
  if (stopped) result.cut.push_back("blends after " + std::to_string(result.tried.size()));
  result.start = std::move(path.start);
  result.iterations = search_iterations(n, input.x.cols, input.classes, input.folds);
  return result;
}

}  // namespace tracer
