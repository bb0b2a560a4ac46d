#include "engine/prove/rank_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/maths/binomial.h"
#include "engine/maths/logistic.h"
#include "engine/maths/random.h"

namespace tracer {
namespace {

constexpr int64_t kKnots = 3;
constexpr double kKnotQuantiles[kKnots] = {0.50, 0.70, 0.85};
constexpr double kPosteriorWidth = 1.5;  // on the Laplace standard deviation: the curve itself is an approximation
constexpr int kTries = 64;               // draws for one curve, where there are few disagreements
constexpr int kFewDisagreements = 10;    // elsewhere wide tails pay: they allow for what the fit does not know
constexpr int64_t kBins = 256;           // of learn rows, where a drawn curve is weighed
constexpr int64_t kMostChoices = 192;    // values tried for a and for b

// k[c] = the least number of rows that may hold c disagreements, for every c that n rows allow.
std::vector<int64_t> least_rows(const std::vector<int64_t>& allowed) {
  std::vector<int64_t> k;
  for (int64_t rows = 0; rows < static_cast<int64_t>(allowed.size()); ++rows)
    if (allowed[rows] >= static_cast<int64_t>(k.size())) k.push_back(rows);
  return k;
}

// The objective of fit_logistic on rows pooled in bins of neighbouring scores: close enough to weigh a plan's draws, at
// a cost that does not grow with the rows.
class BinnedObjective {
 public:
  BinnedObjective(const Matrix<double>& design, const std::vector<uint8_t>& outcome, const std::vector<double>& ridge)
      : ridge_(ridge) {
    const int64_t n = design.rows(), p = design.cols(), bins = std::min(n, kBins);
    mean_ = Matrix<double>(bins, p);
    rows_.assign(bins, 0), bad_.assign(bins, 0);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t bin = i * bins / n;
      ++rows_[bin], bad_[bin] += outcome[i];
      for (int64_t j = 0; j < p; ++j) mean_(bin, j) += design(i, j);
    }
    for (int64_t b = 0; b < bins; ++b)
      for (int64_t j = 0; j < p; ++j) mean_(b, j) /= rows_[b];
  }

  double operator()(const double* coef) const {
    double value = 0;
    for (int64_t b = 0; b < mean_.rows(); ++b) {
      double eta = 0;
      for (int64_t j = 0; j < mean_.cols(); ++j) eta += mean_(b, j) * coef[j];
      value += rows_[b] * (std::max(eta, 0.0) + std::log1p(std::exp(-std::abs(eta)))) - bad_[b] * eta;
    }
    for (int64_t j = 0; j < mean_.cols(); ++j) value += 0.5 * ridge_[j] * coef[j] * coef[j];
    return value;
  }

 private:
  std::vector<double> ridge_;
  Matrix<double> mean_;
  std::vector<double> rows_, bad_;
};

}  // namespace

LearnScores eligible_scores(std::span<const double> score, std::span<const uint8_t> disagree,
                            std::span<const uint8_t> gated) {
  LearnScores rows;
  rows.rows = static_cast<int64_t>(score.size());
  for (size_t i = 0; i < score.size(); ++i) {
    if (gated[i]) continue;
    rows.score.push_back(score[i]);
    rows.disagree.push_back(disagree[i]);
  }
  return rows;
}

std::vector<int32_t> best_first(std::span<const double> score) {
  std::vector<int32_t> order(score.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t x, int32_t y) { return score[x] > score[y]; });
  return order;
}

std::vector<int64_t> disagreements_by_rank(const LearnScores& rows) {
  const auto order = best_first(rows.score);
  std::vector<int64_t> sum(order.size() + 1, 0);
  for (size_t r = 0; r < order.size(); ++r) sum[r + 1] = sum[r] + rows.disagree[order[r]];
  return sum;
}

ImaginedCertify::ImaginedCertify(const LearnScores& learn, int64_t n_certify, uint64_t seed) : n_certify_(n_certify) {
  const int64_t eligible = static_cast<int64_t>(learn.score.size());
  if (eligible == 0 || n_certify == 0) return;
  const auto order = best_first(learn.score);

  // Disagreement against logit(score), with linear knots.
  std::vector<double> z(eligible);
  for (int64_t i = 0; i < eligible; ++i) z[i] = logit(learn.score[order[eligible - 1 - i]]);  // ascending
  double knot[kKnots];
  for (int64_t j = 0; j < kKnots; ++j)
    knot[j] = z[static_cast<int64_t>(kKnotQuantiles[j] * static_cast<double>(eligible - 1))];
  constexpr int64_t p = 2 + kKnots;
  Matrix<double> design(eligible, p);
  std::vector<uint8_t> outcome(eligible);
  for (int64_t rank = 0; rank < eligible; ++rank) {
    const double zi = z[eligible - 1 - rank];
    design(rank, 0) = 1;
    design(rank, 1) = zi;
    for (int64_t j = 0; j < kKnots; ++j) design(rank, 2 + j) = std::max(0.0, zi - knot[j]);
    outcome[rank] = learn.disagree[order[rank]];
  }
  const std::vector<double> ridge = {0.01, 0.01, 0.04, 0.04, 0.04};
  const LogisticFit fit = fit_logistic(design.view(), outcome, ridge);
  const BinnedObjective objective(design, outcome, ridge);
  const double at_mode = objective(fit.coef.data());

  const int64_t sets = std::clamp<int64_t>(60'000'000 / n_certify, 100, 600);
  const Random posterior(seed, Stream::kPosterior), kept(seed, Stream::kPosteriorKept), rows(seed, Stream::kRows),
      disagree(seed, Stream::kDisagree);
  disagreement_ranks_.resize(sets);
  eligible_.resize(sets);
  std::vector<int32_t> count(eligible);
  uint64_t counter = 0, slot = 0;
  const int tries = std::accumulate(outcome.begin(), outcome.end(), 0) < kFewDisagreements ? kTries : 1;
  for (int64_t s = 0; s < sets; ++s) {
    // theta = mode + width * L^-T normal, L L' the Hessian. With few disagreements the posterior is nothing like that
    // normal, flat towards no risk and steep towards more: a draw is then kept with the probability that makes it one
    // from exp(-objective / width^2), and the best of kTries stands in where none is kept.
    double theta[p] = {}, best_weight = -1;
    for (int attempt = 0; attempt < tries && best_weight < 1; ++attempt) {
      double draw[p], squares = 0;
      for (int64_t j = 0; j < p; ++j) {
        draw[j] = posterior.normal(slot++);
        squares += draw[j] * draw[j];
      }
      for (int64_t j = p; j-- > 0;) {
        for (int64_t k = j + 1; k < p; ++k) draw[j] -= fit.hessian_chol(k, j) * draw[k];
        draw[j] /= fit.hessian_chol(j, j);
      }
      for (int64_t j = 0; j < p; ++j) draw[j] = fit.coef[j] + kPosteriorWidth * draw[j];
      const double excess = (objective(draw) - at_mode) / (kPosteriorWidth * kPosteriorWidth);
      double weight = std::exp(std::min(0.0, 0.5 * squares - excess));
      if (kept.uniform(slot) < weight) weight = 1;
      if (weight > best_weight) best_weight = weight, std::copy_n(draw, p, theta);
    }
    // n_certify rows with replacement, sorted by counting.
    std::fill(count.begin(), count.end(), 0);
    for (int64_t i = 0; i < n_certify; ++i) {
      const int64_t pick = rows.below(static_cast<uint64_t>(s * n_certify + i), learn.rows);
      if (pick < eligible) ++count[pick];
    }
    int32_t rank = 0;
    for (int64_t i = 0; i < eligible; ++i) {
      if (count[i] == 0) continue;
      double eta = 0;
      for (int64_t j = 0; j < p; ++j) eta += design(i, j) * theta[j];
      const double risk = sigmoid(eta);
      for (int32_t j = 0; j < count[i]; ++j) {
        ++rank;
        if (disagree.uniform(counter++) < risk) disagreement_ranks_[s].push_back(rank);
      }
    }
    eligible_[s] = rank;
  }
}

ChainPlan ImaginedCertify::plan(double alpha, double delta, double min_coverage) const {
  ChainPlan best;
  const auto k = least_rows(critical_values(n_certify_, 1 - alpha, delta));
  const int64_t levels = static_cast<int64_t>(k.size());
  const double least = min_coverage * static_cast<double>(n_certify_);
  int64_t first = 0;
  while (first < levels && static_cast<double>(k[first]) < least) ++first;
  if (first >= levels || disagreement_ranks_.empty()) return best;

  std::vector<int64_t> choice;
  const int64_t span = levels - first, step = (span + kMostChoices - 1) / kMostChoices;
  for (int64_t c = first; c < levels; c += step) choice.push_back(c);
  const int64_t choices = static_cast<int64_t>(choice.size());
  Matrix<double> total(choices, choices);
  Matrix<double> deployed(choices, choices);
  std::vector<int64_t> reach(levels + 1), first_fail(levels + 1);
  for (size_t s = 0; s < disagreement_ranks_.size(); ++s) {
    const auto& ranks = disagreement_ranks_[s];
    const int64_t n = eligible_[s];
    // The rank of disagreement number c + 1: K[r] <= c exactly for r below it.
    const auto breaks = [&](int64_t c) {
      return c < static_cast<int64_t>(ranks.size()) ? static_cast<int64_t>(ranks[c]) : n + 1;
    };
    const auto passes = [&](int64_t c) { return k[c] <= n && breaks(c) > k[c]; };
    first_fail[levels] = levels;
    for (int64_t c = levels; c-- > first;) {
      first_fail[c] = passes(c) ? first_fail[c + 1] : c;
      // Having passed k_c: the last rank that passes when every rank after it is tested.
      const bool continues = c + 1 < levels && k[c + 1] <= n && breaks(c) >= k[c + 1];
      reach[c] = continues ? reach[c + 1] : std::min(breaks(c) - 1, n);
    }
    for (int64_t i = 0; i < choices; ++i) {
      const int64_t a = choice[i], fail = first_fail[a];
      const double stopped = fail > a ? static_cast<double>(k[fail - 1]) : 0.0;
      for (int64_t j = i; j < choices; ++j) {
        const int64_t b = choice[j];
        total(i, j) += b < fail ? static_cast<double>(reach[b]) : stopped;
        deployed(i, j) += fail > a;
      }
    }
  }
  for (int64_t i = 0; i < choices; ++i)
    for (int64_t j = i; j < choices; ++j) {
      const double coverage =
          total(i, j) / static_cast<double>(disagreement_ranks_.size()) / static_cast<double>(n_certify_);
      if (!best.possible || coverage > best.expected_coverage) {
        best = {true, choice[i], choice[j], coverage, deployed(i, j) / static_cast<double>(disagreement_ranks_.size())};
      }
    }
  return best;
}

CertifyOutcome certify_by_rank(std::span<const double> score, std::span<const uint8_t> disagree, int64_t n_certify,
                               const ChainPlan& plan, double alpha, double delta) {
  CertifyOutcome out;
  const int64_t n = static_cast<int64_t>(score.size());
  if (!plan.possible) {
    out.detail = "too few certify rows for this target";
    return out;
  }
  const auto order = best_first(score);
  std::vector<int64_t> disagreements(n + 1, 0);  // among the first r
  for (int64_t r = 1; r <= n; ++r) disagreements[r] = disagreements[r - 1] + disagree[order[r - 1]];
  const auto allowed = critical_values(std::max(n, n_certify), 1 - alpha, delta);
  const auto k = least_rows(allowed);
  const auto end_of_tie = [&](int64_t r) {
    while (r < n && score[order[r]] == score[order[r - 1]]) ++r;
    return r;
  };
  int64_t last = 0;
  // False when the chain stops. A rank beyond the rows that passed the gate stands for all of them: the chain is then
  // still fixed by n alone, and a gate that deferred more than on learn does not turn an easy log into a refusal.
  const auto test = [&](int64_t rank) {
    rank = std::min(rank, n);
    if (rank == 0) return false;
    if (rank <= last) return true;  // inside a tie that has passed
    const int64_t r = end_of_tie(rank);
    ++out.tested;
    if (disagreements[r] > allowed[r]) return false;
    last = r;
    return true;
  };
  bool going = true;
  for (int64_t c = plan.a; going && c <= plan.b; ++c) going = test(k[c]);
  for (int64_t r = k[plan.b] + 1; going && r <= n; ++r) going = test(r);
  if (last == 0) {
    out.detail = "the first " + std::to_string(std::min(n, k[plan.a])) + " certify rows hold " +
                 std::to_string(disagreements[std::min(n, k[plan.a])]) + " disagreements, " + std::to_string(plan.a) +
                 " allowed";
    return out;
  }
  out.certified = true;
  out.threshold = last < n ? score[order[last]] : 0.0;
  out.handled = last;
  out.disagreements = disagreements[last];
  return out;
}

}  // namespace tracer
