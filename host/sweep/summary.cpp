#include "host/sweep/summary.h"

#include <algorithm>
#include <map>
#include <set>

#include "engine/maths/binomial.h"

namespace tracer {
namespace {

constexpr double kSignificance = 0.05;

}  // namespace

std::optional<Spread> spread_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return Spread{0.5 * (values[(n - 1) / 2] + values[n / 2]), values.front(), values.back()};
}

std::vector<SweepCell> summarise(const std::vector<SweepRun>& runs) {
  std::map<int64_t, std::vector<const SweepRun*>> by_size;
  for (const SweepRun& run : runs) by_size[run.traces].push_back(&run);
  std::vector<SweepCell> cells;
  for (const auto& [traces, group] : by_size)
    for (size_t a = 0; a < group[0]->points.size(); ++a) {
      SweepCell cell;
      cell.traces = traces;
      cell.alpha = group[0]->points[a].alpha;
      std::vector<double> coverage, agreement;
      for (const SweepRun* run : group) {
        const SweepPoint& p = run->points[a];
        ++cell.seeds;
        cell.certified += p.certified;
        coverage.push_back(run->coverage(p));
        if (const auto share = run->agreement(p)) agreement.push_back(*share);
        cell.below += p.certified && run->fresh_rows > 0 &&
                      clopper_pearson_upper(p.fresh_agree, p.fresh_handled, kSignificance) < p.alpha;
      }
      cell.coverage = *spread_of(std::move(coverage));
      cell.agreement = spread_of(std::move(agreement));
      cells.push_back(cell);
    }
  return cells;
}

std::vector<AlphaCurve> learning_curves(const std::vector<SweepRun>& runs, std::optional<double> target) {
  std::vector<AlphaCurve> curves;
  if (runs.empty()) return curves;
  const auto cells = summarise(runs);
  for (size_t a = 0; a < runs[0].points.size(); ++a) {
    AlphaCurve c;
    c.asked = target.has_value();
    c.alpha = runs[0].points[a].alpha;
    std::set<int64_t> usable;
    for (const SweepCell& cell : cells)
      if (cell.alpha == c.alpha && 2 * cell.certified >= cell.seeds && cell.certified > 0) usable.insert(cell.traces);
    std::vector<CurvePoint> points;
    for (const SweepRun& run : runs)
      if (run.points[a].certified && usable.contains(run.traces))
        points.push_back({static_cast<double>(run.traces), run.coverage(run.points[a])});
    auto fitted = LearningCurve::fit(points);
    if (fitted.ok()) {
      c.curve = std::move(fitted).value();
      double reached = 0, fits = 0;
      for (const CurvePoint& p : points)
        if (p.traces == static_cast<double>(cells.back().traces)) reached += p.coverage, ++fits;
      c.at_largest = fits > 0 ? reached / fits : c.curve->at(static_cast<double>(cells.back().traces));
      c.target = target.value_or(std::max(c.at_largest, 0.5 * (c.at_largest + c.curve->plateau())));
      c.needed = c.curve->needed(c.target);
    } else {
      c.why_not = "half of the seeds certify at " +
                  (usable.empty()       ? std::string("no size")
                   : usable.size() == 1 ? "1 size"
                                        : "2 sizes") +
                  ", 3 are needed";
    }
    curves.push_back(std::move(c));
  }
  return curves;
}

}  // namespace tracer
