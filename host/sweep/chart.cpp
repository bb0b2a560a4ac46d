#include "host/sweep/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "host/sweep/svg.h"

namespace tracer {
namespace {

using svg::Panel;
using svg::Points;

constexpr double kWidth = 760, kLeft = 70, kTop = 96, kPanelWidth = 590, kPanelHeight = 320, kPanelStep = 440;
constexpr char kInk[] = "#1f5fa8";
constexpr char kRefused[] = "#b3261e";
// Of Okabe and Ito (2008), told apart by the colour-blind too.
constexpr const char* kLines[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000"};

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

std::string stroke(const std::string& colour, const std::string& more = "") {
  return "stroke=\"" + colour + "\" stroke-width=\"2\" stroke-linejoin=\"round\"" + more;
}

// Filled where every seed was certified, hollow where some were, a cross where none was.
std::string mark(double x, double y, const SweepCell& c, const std::string& colour) {
  if (c.certified == 0) return svg::cross(x, y, 4, stroke(kRefused));
  return svg::circle(x, y, 4, stroke(colour) + " fill=\"" + (c.certified == c.seeds ? colour : "#fff") + "\"");
}

std::string legend(double y) {
  SweepCell all, some, none;
  all.seeds = some.seeds = none.seeds = 2, all.certified = 2, some.certified = 1;
  const std::string style = "font-size=\"12\" fill=\"#444\"";
  std::string out = mark(kLeft + 4, y - 4, all, kInk) + svg::text(kLeft + 14, y, "certified for every seed", style);
  out += mark(kLeft + 174, y - 4, some, kInk) + svg::text(kLeft + 184, y, "for some", style);
  out += mark(kLeft + 264, y - 4, none, kInk) + svg::text(kLeft + 274, y, "refused", style);
  return out + svg::text(kLeft + 344, y, "line: median; band and bars: least to most", style);
}

std::string against_alpha(const std::vector<SweepCell>& cells, double top) {
  const double first = cells.front().alpha, last = cells.back().alpha, span = std::max(last - first, 1e-9);
  const double margin = last > first ? 0.04 : 0.5;
  const Panel panel{kLeft, top, kPanelWidth, kPanelHeight,
                    [=](double a) { return margin + (1 - 2 * margin) * (a - first) / span; }};
  std::vector<Panel::Tick> ticks;
  Points median, band;
  for (const SweepCell& c : cells) {
    ticks.push_back({c.alpha, number(c.alpha)});
    median.emplace_back(c.alpha, c.coverage.median);
    band.emplace_back(c.alpha, c.coverage.most);
  }
  for (auto c = cells.rbegin(); c != cells.rend(); ++c) band.emplace_back(c->alpha, c->coverage.least);
  std::string out = panel.axes("Coverage against alpha, " + std::to_string(cells[0].traces) + " traces, " +
                                   std::to_string(cells[0].seeds) + (cells[0].seeds == 1 ? " seed" : " seeds"),
                               ticks, "alpha: agreement with the teacher that is certified", "coverage");
  out += panel.area(band, std::string("fill=\"") + kInk + "\" fill-opacity=\"0.15\"");
  out += panel.line(median, stroke(kInk));
  for (const SweepCell& c : cells) out += mark(panel.x(c.alpha), panel.y(c.coverage.median), c, kInk);
  return out;
}

Points fitted(const LearningCurve& curve, double from, double to) {
  Points points;
  for (int i = 0; i <= 48; ++i) {
    const double n = from * std::pow(to / from, i / 48.0);
    points.emplace_back(n, curve.at(n));
  }
  return points;
}

std::string against_traces(const std::vector<SweepCell>& cells, const std::vector<AlphaCurve>& curves, double top) {
  const double first = static_cast<double>(cells.front().traces), largest = static_cast<double>(cells.back().traces);
  const double last = 2 * largest;  // as far as the fitted curves are drawn
  const Panel panel{kLeft, top, kPanelWidth, kPanelHeight,
                    [=](double n) { return 0.04 + 0.92 * std::log(n / first) / std::log(last / first); }};
  std::vector<Panel::Tick> ticks;
  for (const SweepCell& c : cells)
    if (ticks.empty() || ticks.back().at != static_cast<double>(c.traces))
      ticks.push_back({static_cast<double>(c.traces), std::to_string(c.traces)});
  std::string out = panel.axes("Coverage against the number of traces", ticks,
                               "traces (logarithmic); dashed: fitted curve, drawn to twice the log", "coverage");
  std::vector<double> alphas;
  for (const SweepCell& c : cells)
    if (c.traces == cells.back().traces) alphas.push_back(c.alpha);
  out += svg::text(kLeft + kPanelWidth + 14, top - 6, "alpha", "font-size=\"12\" fill=\"#444\"");
  for (size_t a = 0; a < alphas.size(); ++a) {
    const std::string colour = kLines[a % std::size(kLines)];
    Points median;
    std::string marks;
    for (const SweepCell& c : cells) {
      if (c.alpha != alphas[a]) continue;
      const auto n = static_cast<double>(c.traces);
      median.emplace_back(n, c.coverage.median);
      marks +=
          panel.line({{n, c.coverage.least}, {n, c.coverage.most}}, "stroke=\"" + colour + "\" stroke-opacity=\"0.5\"");
      marks += mark(panel.x(n), panel.y(c.coverage.median), c, colour);
    }
    out += panel.line(median, stroke(colour)) + marks;
    for (const AlphaCurve& c : curves)
      if (c.alpha == alphas[a] && c.curve)
        out += panel.line(fitted(*c.curve, first, last), "stroke=\"" + colour + "\" stroke-dasharray=\"5 4\"");
    const double at = top + 14 + 20 * static_cast<double>(a), x = kLeft + kPanelWidth + 14;
    out += "<rect x=\"" + svg::fixed(x) + "\" y=\"" + svg::fixed(at - 6) + "\" width=\"16\" height=\"4\" fill=\"" +
           colour + "\"/>\n" + svg::text(x + 22, at, number(alphas[a]), "font-size=\"12\" fill=\"#444\"");
  }
  return out;
}

}  // namespace

std::string sweep_svg(const std::string& title, const std::vector<SweepCell>& cells,
                      const std::vector<AlphaCurve>& curves) {
  std::vector<SweepCell> whole;
  for (const SweepCell& c : cells)
    if (c.traces == cells.back().traces) whole.push_back(c);
  const bool several = whole.size() < cells.size();
  const std::string height = svg::fixed(kTop + kPanelHeight + 60 + (several ? kPanelStep : 0));
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + svg::fixed(kWidth) + "\" height=\"" +
                    height + "\" viewBox=\"0 0 " + svg::fixed(kWidth) + " " + height +
                    "\" font-family=\"sans-serif\">\n<title>" + svg::escaped(title) +
                    "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  out += svg::text(kLeft, 28, title, "font-size=\"13\" fill=\"#444\"") + legend(48);
  out += against_alpha(whole, kTop);
  if (several) out += against_traces(cells, curves, kTop + kPanelStep);
  return out + "</svg>\n";
}

}  // namespace tracer
