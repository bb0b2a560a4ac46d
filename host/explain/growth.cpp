#include "host/explain/growth.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/prove/figures.h"
#include "engine/study/learning_curve.h"
#include "host/explain/counts.h"
#include "host/io/json_fields.h"
#include "host/io/json_with.h"

namespace tracer {
namespace {

// What one share of the log reached, over its draws.
struct SizeCounts {
  int64_t fits = 0, certified = 0;
  int64_t rows = 0, handled = 0;    // of the teacher's rows
  int64_t answered = 0, agree = 0;  // of the surrogate's answers; of all rows the same as handled
  std::vector<double> coverages;    // of each fit
};

using Sizes = std::map<double, SizeCounts>;  // by share

// One policy on the rows: whether it handles each, and with which label.
template <class Handled, class Answer>
void add_fit(const ExplainedRows& e, double share, bool certified, Handled handled, Answer answer, Sizes& all,
             std::vector<Sizes>& labels) {
  std::vector<int64_t> rows(labels.size()), kept(labels.size());
  int64_t total = 0;
  for (size_t l = 0; l < labels.size(); ++l) ++labels[l][share].fits, labels[l][share].certified += certified;
  SizeCounts& whole = all[share];
  ++whole.fits, whole.certified += certified;
  for (size_t i = 0; i < e.rows.size(); ++i) {
    const int32_t teacher = e.rows[i].teacher;
    if (teacher >= 0) ++rows[static_cast<size_t>(teacher)];
    if (!handled(i)) continue;
    ++total;
    if (teacher >= 0) ++kept[static_cast<size_t>(teacher)];
    SizeCounts& answered = labels[static_cast<size_t>(answer(i))][share];
    ++answered.answered, answered.agree += answer(i) == teacher;
    ++whole.answered, whole.agree += answer(i) == teacher;
  }
  const auto add = [](SizeCounts& c, int64_t n, int64_t k) {
    c.rows += n, c.handled += k;
    if (n > 0) c.coverages.push_back(static_cast<double>(k) / static_cast<double>(n));
  };
  add(whole, static_cast<int64_t>(e.rows.size()), total);
  for (size_t l = 0; l < labels.size(); ++l) add(labels[l][share], rows[l], kept[l]);
}

// Wilson's interval of a share of n rows, at LearningCurve::kLevel.
Interval wilson(double share, int64_t n) {
  constexpr double z = 1.6448536269514722;  // 90 %
  static_assert(LearningCurve::kLevel == 0.90);
  const double rows = static_cast<double>(n), middle = (share + z * z / (2 * rows)) / (1 + z * z / rows);
  const double half = z / (1 + z * z / rows) * std::sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

Json points_json(const Sizes& sizes, double traces) {
  Json points = Json::array();
  for (const auto& [share, c] : sizes)
    points.push_back({{"traces", std::llround(share * traces)},
                      {"fits", c.fits},
                      {"certified", c.certified},
                      {"coverage", optional_json(agreement(c.handled, c.rows))},
                      {"teacher_agreement", optional_json(agreement(c.agree, c.answered))}});
  return points;
}

Json nothing_said(const std::string& reason) {
  return {{"plateau", nullptr},  {"plateau_low", nullptr}, {"plateau_high", nullptr}, {"gain", nullptr},
          {"gain_low", nullptr}, {"gain_high", nullptr},   {"reason", reason}};
}

// rows: looked at, of which every coverage is a share.
Json forecast_json(const Sizes& sizes, double traces, double more, int64_t rows) {
  if (rows < kFewestGrowthRows)
    return nothing_said("too few rows to say: " + std::to_string(rows) + " of " + std::to_string(kFewestGrowthRows));
  const auto certified =
      std::count_if(sizes.begin(), sizes.end(), [](const auto& s) { return s.second.certified > 0; });
  if (certified < 3)
    return nothing_said("too few sizes to say: only " + std::to_string(certified) + " of " +
                        std::to_string(sizes.size()) + " could be certified");
  std::vector<CurvePoint> points;
  for (const auto& [share, c] : sizes)
    for (const double coverage : c.coverages) points.push_back({share * traces, coverage});
  auto curve = LearningCurve::fit(points);
  if (!curve.ok()) return nothing_said(curve.status().message());
  const double gain = curve->gain(traces + more);
  const Interval fits = curve->gain_interval(traces + more).value_or(Interval{0, 1}), seen = wilson(gain, rows);
  const double now = sizes.rbegin()->second.coverages.front();
  const double two_fits = std::sqrt(2.0) * curve->scatter();
  const double low = gain - std::hypot(gain - fits.low, gain - seen.low, two_fits);
  const double high = gain + std::hypot(fits.high - gain, seen.high - gain, two_fits);
  const double most = std::max(gain, 1 - now);  // coverage ends at 1
  const auto plateau = curve->plateau_interval();
  return {{"plateau", curve->plateau()},
          {"plateau_low", plateau ? Json(plateau->low) : Json(nullptr)},
          {"plateau_high", plateau ? Json(plateau->high) : Json(nullptr)},
          {"gain", gain},
          {"gain_low", std::max(-now, low)},
          {"gain_high", std::min(high, most)},
          {"reason", nullptr}};
}

}  // namespace

Json growth_json(const ExplainedRows& e, const std::vector<GrowthFit>& fits, const GrowthLog& log) {
  Sizes all;
  std::vector<Sizes> labels(e.policy->labels.size());
  for (const GrowthFit& fit : fits)
    add_fit(
        e, fit.share, fit.certified, [&](size_t i) { return fit.handled[i] != 0; },
        [&](size_t i) { return fit.answer[i]; }, all, labels);
  add_fit(
      e, 1, e.certificate->certified, [&](size_t i) { return e.rows[i].handled(); },
      [&](size_t i) { return e.rows[i].label; }, all, labels);
  const auto traces = static_cast<double>(log.traces), more = static_cast<double>(log.more);
  Json by_label = Json::array();
  for (size_t l = 0; l < labels.size(); ++l) {
    const int64_t rows = labels[l][1].rows;
    const auto own = static_cast<double>(log.label_traces[l]);
    if (own == 0) continue;
    by_label.push_back(with({{"label", e.policy->labels[l]},
                             {"traces", log.label_traces[l]},
                             {"more", std::llround(more * own / traces)},
                             {"n", rows},
                             {"points", points_json(labels[l], own)}},
                            forecast_json(labels[l], own, more * own / traces, rows)));
  }
  return with(
      with({{"traces", log.traces}, {"more", log.more}, {"fits", fits.size()}, {"points", points_json(all, traces)}},
           forecast_json(all, traces, more, static_cast<int64_t>(e.rows.size()))),
      {{"labels", std::move(by_label)}});
}

}  // namespace tracer
