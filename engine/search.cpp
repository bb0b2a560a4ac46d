#include "engine/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/acceptor.h"
#include "engine/binomial.h"
#include "engine/gate.h"
#include "engine/rank_chain.h"

namespace tracer {
namespace {

constexpr double kCosts[] = {1, 10, 100, 1000};
constexpr float kVoteWeights[] = {0.0f, 0.25f, 0.5f, 0.75f, 1.0f};
constexpr float kSharpness = 8.0f;
constexpr int64_t kNeighbours = 15;

// Everything that follows from one candidate's out-of-fold features.
struct Scored {
  std::vector<uint8_t> disagree;
  std::vector<double> score;
  std::vector<uint8_t> gated;
  Acceptor acceptor;
  OodGate gate;
};

double out_of_fold_log_loss(const Matrix<float>& probability, const std::vector<int32_t>& label) {
  double sum = 0;
  // A class that a fold never saw has probability 0: count it as one in a million, not as infinity.
  for (int64_t i = 0; i < probability.rows(); ++i) sum -= std::log(std::max<double>(probability(i, label[i]), 1e-6));
  return sum / static_cast<double>(probability.rows());
}

// Mean over the alphas of the largest share of rows whose disagreements a certify set would allow.
class Allowance {
 public:
  explicit Allowance(const SearchInput& input) : rows_(input.x.rows), ratio_(ratio(input)) {
    for (double alpha : input.alphas)
      allowed_.push_back(critical_values(std::max<int64_t>(input.n_certify, 1), 1 - alpha, input.delta));
  }

  double coverage(const Scored& s) const {
    const auto disagreements = disagreements_by_rank(eligible_scores(s.score, s.disagree, s.gated));
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
  static double ratio(const SearchInput& in) {
    return static_cast<double>(in.n_certify) / static_cast<double>(std::max<int64_t>(in.x.rows, 1));
  }
  int64_t rows_;
  double ratio_;
  std::vector<std::vector<int64_t>> allowed_;
};

Scored score_candidate(const SearchInput& input, const std::vector<double>& frequency,
                       const std::vector<DecisionFeatures>& features) {
  Scored s;
  const int64_t n = static_cast<int64_t>(features.size());
  std::vector<uint8_t> agree(n);
  s.disagree.resize(n), s.score.resize(n), s.gated.resize(n);
  for (int64_t i = 0; i < n; ++i) {
    agree[i] = features[i].label == input.label[i];
    s.disagree[i] = !agree[i];
  }
  s.acceptor = fit_acceptor(features, agree, frequency);
  s.gate = fit_gate(features, input.classes);
  for (int64_t i = 0; i < n; ++i) {
    s.score[i] = accept_score(s.acceptor, features[i], frequency[features[i].label]);
    s.gated[i] = out_of_distribution(s.gate, features[i]);
  }
  return s;
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

}  // namespace

Result<SearchResult> search_surrogate(Backend& backend, const SearchInput& input,
                                      const std::function<void(const std::string&)>& progress) {
  const int64_t n = input.x.rows;
  SearchResult result;
  result.label_frequency.assign(input.classes, 0.0);
  for (int32_t l : input.label) result.label_frequency[l] += 1.0 / static_cast<double>(n);

  Matrix<int32_t> neighbour(n, kNeighbours);
  Matrix<float> similarity(n, kNeighbours);
  TRACER_RETURN_IF_ERROR(
      backend.topk_cosine(input.x, input.x, input.fold, input.fold, TopK{neighbour.view(), similarity.view()}));
  if (progress) progress("nearest neighbours of " + std::to_string(n) + " rows");

  const Allowance allowance(input);
  auto moments = row_moments(backend, input.x);
  if (!moments.ok()) return moments.status();
  result.moments = std::move(moments).value();
  const SoftmaxData data{input.x, input.label, input.classes, input.fold, &result.moments};
  SoftmaxState state = initial_softmax(data, input.folds);
  Matrix<float> probability(n, input.classes);
  NeighbourVote vote{neighbour.view(), similarity.view(), input.label, 0.0f, kSharpness};

  std::vector<DecisionFeatures> features(n);
  double best_loss = std::numeric_limits<double>::infinity();
  bool have = false;
  for (double cost : kCosts) {
    TRACER_RETURN_IF_ERROR(minimise_softmax(backend, data, cost, {}, state));
    TRACER_RETURN_IF_ERROR(out_of_fold_probability(backend, data, state, probability.view()));
    const double loss = out_of_fold_log_loss(probability, input.label);
    for (float weight : kVoteWeights) {
      vote.weight = weight;
      TRACER_RETURN_IF_ERROR(backend.decision_features_from(probability.view(), vote, features));
      Scored s = score_candidate(input, result.label_frequency, features);
      Candidate c{cost, weight, kSharpness, loss, 0, allowance.coverage(s)};
      c.agreement = 1 - std::accumulate(s.disagree.begin(), s.disagree.end(), 0.0) / static_cast<double>(n);
      result.tried.push_back(c);
      // Strictly better, so that ties go to the stronger regularisation and the smaller vote.
      if (have && !(c.coverage > result.best.coverage)) continue;
      have = true;
      result.best = c;
      result.disagree = std::move(s.disagree);
      result.score = std::move(s.score);
      result.gated = std::move(s.gated);
      result.acceptor = std::move(s.acceptor);
      result.gate = std::move(s.gate);
    }
    if (result.best.cost == cost) result.start = mean_weights(state, input.classes);
    if (progress)
      progress("softmax regression, cost " + std::to_string(static_cast<int>(cost)) + ": out-of-fold loss " +
               std::to_string(loss) + ", " +
               std::to_string(*std::max_element(state.iterations.begin(), state.iterations.end())) + " iterations");
    if (loss > best_loss) break;  // weaker regularisation only overfits from here
    best_loss = loss;
  }
  return result;
}

}  // namespace tracer
