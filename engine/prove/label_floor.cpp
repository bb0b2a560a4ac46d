#include "engine/prove/label_floor.h"

#include <algorithm>
#include <cmath>

#include "engine/maths/binomial.h"

namespace tracer {
namespace {

constexpr int64_t kLeastScores = 100;

class Counts {
 public:
  Counts(int64_t classes, double floor, double delta)
      : floor_(floor), delta_(delta), fewest_(fewest_certifying_rows(floor, delta)), figures_(classes) {
    for (int64_t c = 0; c < classes; ++c) figures_[c].label = static_cast<int32_t>(c);
  }
  void add(int32_t label, bool agrees) { ++figures_[label].handled, figures_[label].agree += agrees; }
  bool shown(const FlooredLabel& f) const {
    return f.handled >= fewest_ && binomial_cdf(f.handled - f.agree, f.handled, 1 - floor_) <= delta_;
  }
  // Rows of the labels that stay; -1 where they disagree more than alpha allows, or there are none.
  int64_t remaining(double alpha) const {
    int64_t rows = 0, bad = 0;
    for (const FlooredLabel& f : figures_)
      if (shown(f)) rows += f.handled, bad += f.handled - f.agree;
    return rows > 0 && static_cast<double>(bad) <= (1 - alpha) * static_cast<double>(rows) ? rows : -1;
  }
  std::vector<FlooredLabel> below() const {
    std::vector<FlooredLabel> labels;
    for (const FlooredLabel& f : figures_)
      if (!shown(f)) labels.push_back(f);
    return labels;
  }
  const std::vector<FlooredLabel>& all() const { return figures_; }

 private:
  double floor_, delta_;
  int64_t fewest_;
  std::vector<FlooredLabel> figures_;
};

}  // namespace

LabelFloor plan_label_floor(const LearnSide& learn, std::span<const int32_t> predicted, int64_t classes, double alpha,
                            double floor, double delta) {
  std::vector<int32_t> order = best_first(learn.score);
  std::erase_if(order, [&](int32_t i) { return learn.gated[i] != 0; });
  const auto n = static_cast<int64_t>(order.size());
  Counts counts(classes, floor, delta);
  LabelFloor best;
  int64_t most = -1;
  for (int64_t r = 0, step = 1; r < n; ++r) {
    const int32_t i = order[r];
    counts.add(predicted[i], learn.disagree[i] == 0);
    const bool tied = r + 1 < n && learn.score[order[r + 1]] == learn.score[i];
    if (tied || (r + 1) * kLeastScores < step * n) continue;
    while (step * n <= (r + 1) * kLeastScores) ++step;
    const int64_t rows = counts.remaining(alpha);
    if (rows <= most) continue;
    most = rows;
    best = {learn.score[i], counts.below()};
  }
  if (most < 0) best = {0, counts.all()};
  return best;
}

void apply_label_floor(const LabelFloor& floor, std::span<const double> score, std::span<const int32_t> predicted,
                       std::vector<uint8_t>& gated) {
  for (size_t i = 0; i < gated.size(); ++i) {
    const auto at = std::lower_bound(floor.below.begin(), floor.below.end(), predicted[i],
                                     [](const FlooredLabel& f, int32_t label) { return f.label < label; });
    gated[i] |= (at != floor.below.end() && at->label == predicted[i]) || score[i] < floor.least_score;
  }
}

double threshold_below(double least_score) { return least_score > 0 ? std::nextafter(least_score, 0.0) : 0; }

}  // namespace tracer
