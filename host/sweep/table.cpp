#include "host/sweep/table.h"

#include <cmath>
#include <cstdio>
#include <map>

#include "engine/maths/percent.h"
#include "host/artifact/frontier_text.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

// A plateau that is no further than this above what is reached.
constexpr double kLevelled = 0.005;

std::string digits(double v, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, v);
  return text;
}

std::string right(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string spread(const Spread& s, int decimals) {
  return digits(s.median, decimals) + " (" + digits(s.least, decimals) + " - " + digits(s.most, decimals) + ")";
}

// Traces beyond those there are, to three digits: no more is known.
int64_t more_than(double traces, int64_t largest) {
  const double more = traces - static_cast<double>(largest);
  if (!(more > 0)) return 0;
  const double unit = std::pow(10.0, std::max(0.0, std::floor(std::log10(more)) - 2));
  return static_cast<int64_t>(std::ceil(more / unit) * unit);
}

std::string needed_text(const AlphaCurve& c, int64_t largest) {
  const TracesNeeded& n = c.needed;
  if (!c.asked && c.curve->plateau() < c.at_largest + kLevelled) return "levelled off";
  const std::string target = "coverage " + digits(c.target, 3);
  const auto end = [&](const std::optional<double>& v) {
    return v ? std::to_string(more_than(*v, largest)) : std::string("out of reach");
  };
  const std::string range = c.curve->plateau_interval() ? " (" + end(n.low) + " to " + end(n.high) + ")" : "";
  if (!n.traces)
    return target + " is out of reach" + (n.low ? ", by the interval from " + end(n.low) + " more on" : "");
  if (more_than(*n.traces, largest) == 0) return target + " is reached" + range;
  return target + " takes " + end(n.traces) + " more traces" + range;
}

std::string curve_text(const AlphaCurve& c, int64_t largest) {
  const std::string start = "  at " + number(c.alpha) + ": ";
  if (!c.curve) return start + "no curve: " + c.why_not + "\n";
  const auto interval = c.curve->plateau_interval();
  return start + "plateau " + digits(c.curve->plateau(), 3) +
         (interval ? " (" + digits(interval->low, 3) + " - " + digits(interval->high, 3) + ")"
                   : " (one fit a size: no interval)") +
         ", " + digits(c.at_largest, 3) + " now; " + needed_text(c, largest) + "\n";
}

Json spread_json(const std::optional<Spread>& s) {
  if (!s) return nullptr;
  return {{"median", s->median}, {"least", s->least}, {"most", s->most}};
}

}  // namespace

std::string sweep_table(const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves, bool test) {
  const int64_t largest = cells.back().traces;
  const std::string of = test ? " on the test log" : " on certify rows";
  std::string text = "coverage and agreement" + of + ": median (least - most) over the seeds, a refusal counting 0\n" +
                     "  alpha  certified  coverage               agreement" + (test ? "                   below" : "") +
                     "\n";
  std::map<int64_t, std::string> rows;  // by size: medians
  std::string alphas;
  for (const SweepCell& c : cells) {
    rows[c.traces] += right(c.certified > 0 ? digits(c.coverage.median, 3) : "-", 8);
    if (c.traces != largest) continue;
    alphas += right(number(c.alpha), 8);
    const std::string agreement = c.agreement ? spread(*c.agreement, 4) : "-";
    text += right(number(c.alpha), 7) + right(std::to_string(c.certified) + " of " + std::to_string(c.seeds), 11) +
            "  " + spread(c.coverage, 3) + "  " + agreement;
    if (test) text += std::string(28 - std::min<size_t>(28, agreement.size()), ' ') + std::to_string(c.below);
    text += "\n";
  }
  if (rows.size() < 2) return text;
  text += "coverage against traces" + of + ", median; -: no seed certifies\n   traces" + alphas + "\n";
  for (const auto& [traces, line] : rows) text += right(std::to_string(traces), 9) + line + "\n";
  text += "learning curves (intervals " + percent(LearningCurve::kLevel) + ", over the draws from this log)\n";
  for (const AlphaCurve& c : curves) text += curve_text(c, largest);
  return text;
}

Json summary_json(const std::vector<SweepCell>& cells) {
  Json out = Json::array();
  for (const SweepCell& c : cells)
    out.push_back({{"traces", c.traces},
                   {"alpha", c.alpha},
                   {"seeds", c.seeds},
                   {"certified", c.certified},
                   {"coverage", spread_json(c.coverage)},
                   {"teacher_agreement", spread_json(c.agreement)},
                   {"below", c.below}});
  return out;
}

Json curves_json(const std::vector<AlphaCurve>& curves, int64_t largest) {
  Json out = Json::array();
  for (const AlphaCurve& c : curves) {
    if (!c.curve) {
      out.push_back({{"alpha", c.alpha}, {"plateau", nullptr}, {"reason", c.why_not}});
      continue;
    }
    const auto interval = c.curve->plateau_interval();
    const auto more = [&](const std::optional<double>& n) { return n ? Json(more_than(*n, largest)) : Json(nullptr); };
    out.push_back({{"alpha", c.alpha},
                   {"plateau", c.curve->plateau()},
                   {"plateau_low", interval ? Json(interval->low) : Json(nullptr)},
                   {"plateau_high", interval ? Json(interval->high) : Json(nullptr)},
                   {"drop", c.curve->drop()},
                   {"rate", c.curve->rate()},
                   {"coverage_now", c.at_largest},
                   {"target_coverage", c.target},
                   {"traces_missing", more(c.needed.traces)},
                   {"traces_missing_low", more(c.needed.low)},
                   {"traces_missing_high", more(c.needed.high)},
                   {"out_of_reach", !c.needed.traces}});
  }
  return out;
}

}  // namespace tracer
