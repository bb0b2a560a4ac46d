#include "engine/prove/audit_betting.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tracer {
namespace {

constexpr int64_t kThresholds = 60;
constexpr double kLeastBet = 0.2, kBoldestBet = 0.8;  // times epsilon

// What a handled row is expected to add to the logarithm of the wager.
double growth(double q, double epsilon, double disagreement) {
  return disagreement * std::log(q / epsilon) + (1 - disagreement) * std::log((1 - q) / (1 - epsilon));
}

}  // namespace

double challenger_level(double delta, int64_t j) {
  return delta / (static_cast<double>(j) * static_cast<double>(j + 1));
}

AuditPlan plan_audit(const LearnScores& learn, double alpha, double level, double min_coverage) {
  AuditPlan plan;
  plan.alpha = alpha, plan.level = level;
  const double epsilon = 1 - alpha, rows = static_cast<double>(learn.rows);
  const auto bad = disagreements_by_rank(learn);
  const auto order = best_first(learn.score);
  const auto n = static_cast<int64_t>(order.size());
  std::vector<double> needed;  // audit rows
  for (int64_t t = 1; t <= kThresholds && n > 0; ++t) {
    const double threshold = learn.score[order[std::max<int64_t>(1, t * n / kThresholds) - 1]];
    if (!plan.threshold.empty() && threshold >= plan.threshold.back()) continue;
    int64_t rank = std::max<int64_t>(1, t * n / kThresholds);
    while (rank < n && learn.score[order[rank]] >= threshold) ++rank;  // to the end of its tie
    const double handled = static_cast<double>(rank), share = handled / rows;
    const double rate = (static_cast<double>(bad[rank]) + 1) / (handled + 2);
    if (share < min_coverage || rate >= epsilon) continue;
    const double q =
        std::clamp(rate + std::sqrt(rate * (1 - rate) / handled), kLeastBet * epsilon, kBoldestBet * epsilon);
    const double gain = share * growth(q, epsilon, rate);
    plan.threshold.push_back(threshold);
    plan.bet.push_back(q);
    plan.share.push_back(share);
    needed.push_back(gain > 0 ? -std::log(level) / gain : std::numeric_limits<double>::infinity());
  }
  if (plan.threshold.empty()) return plan;
  const auto start = std::min_element(needed.begin(), needed.end()) - needed.begin();
  for (auto* list : {&plan.threshold, &plan.bet, &plan.share}) list->erase(list->begin(), list->begin() + start);
  double most = needed[start];
  for (size_t i = static_cast<size_t>(start); i < needed.size(); ++i)
    if (plan.bet[i - start] < kBoldestBet * epsilon) most = std::max(most, needed[i]);
  plan.patience = static_cast<int64_t>(std::ceil(std::min(2 * most, 1e9)));  // twice what is expected
  return plan;
}

AuditWager::AuditWager(AuditPlan plan) : plan_(std::move(plan)), state_(plan_.threshold.size()) {
  const double epsilon = 1 - plan_.alpha;
  for (double q : plan_.bet) {
    if_disagree_.push_back(std::log(q / epsilon));
    if_agree_.push_back(std::log((1 - q) / (1 - epsilon)));
  }
}

void AuditWager::add(double score, bool handled_above_gate, bool disagree) {
  ++rows_;
  if (!handled_above_gate) return;
  for (size_t i = 0; i < state_.size(); ++i) {
    if (!(score >= plan_.threshold[i])) continue;
    State& s = state_[i];
    ++s.handled, s.disagreements += disagree;
    s.log_wager += disagree ? if_disagree_[i] : if_agree_[i];
    s.best = std::max(s.best, s.log_wager);
  }
}

int64_t AuditWager::passed() const {
  const double wanted = -std::log(plan_.level);
  int64_t count = 0;
  while (count < static_cast<int64_t>(state_.size()) && state_[static_cast<size_t>(count)].best >= wanted) ++count;
  return count;
}

}  // namespace tracer
