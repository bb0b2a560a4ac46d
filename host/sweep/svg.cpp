#include "host/sweep/svg.h"

#include <cmath>
#include <cstdio>

namespace tracer::svg {
namespace {

constexpr double kDigit = 7;  // pixels of a digit of a tick, at most

std::string list(const Panel& panel, const Points& points) {
  std::string out;
  for (const auto& [x, y] : points) out += (out.empty() ? "" : " ") + fixed(panel.x(x)) + "," + fixed(panel.y(y));
  return out;
}

}  // namespace

std::string escaped(const std::string& content) {
  std::string out;
  for (const char c : content) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += "\xef\xbf\xbd";
    else
      out += c;
  }
  return out;
}

std::string fixed(double v) {
  char digits[40];
  std::snprintf(digits, sizeof digits, "%.2f", v == 0 ? 0.0 : v);
  std::string out = digits;
  out.erase(out.find_last_not_of('0') + 1);
  if (out.back() == '.') out.pop_back();
  return out == "-0" ? "0" : out;
}

std::string segment(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + fixed(x1) + "\" y1=\"" + fixed(y1) + "\" x2=\"" + fixed(x2) + "\" y2=\"" + fixed(y2) + "\" " +
         style + "/>\n";
}

std::string Panel::axes(const std::string& title, const std::vector<Tick>& ticks, const std::string& x_name,
                        const std::string& y_name) const {
  const std::string grid = "stroke=\"#e3e3e3\"", small = "font-size=\"12\" fill=\"#444\"";
  const double bottom = top + height;
  std::string out = text(left, top - 14, title, "font-size=\"15\" font-weight=\"bold\" fill=\"#111\"");
  for (int i = 0; i <= 5; ++i) {
    const double v = i / 5.0;
    out += segment(left, y(v), left + width, y(v), grid);
    out += text(left - 8, y(v) + 4, fixed(v), small + " text-anchor=\"end\"");
  }
  double free = 1e9;  // from the right: the last tick keeps its text
  for (auto tick = ticks.rbegin(); tick != ticks.rend(); ++tick) {
    const double at = x(tick->at), half = kDigit * static_cast<double>(tick->text.size()) / 2;
    out += segment(at, top, at, bottom, grid);
    if (at + half > free) continue;
    out += text(at, bottom + 18, tick->text, small + " text-anchor=\"middle\"");
    free = at - half - kDigit;
  }
  out += segment(left, bottom, left + width, bottom, "stroke=\"#444\"") +
         segment(left, top, left, bottom, "stroke=\"#444\"");
  out += text(left + width / 2, bottom + 38, x_name, small + " text-anchor=\"middle\"");
  const double middle = top + height / 2;
  out +=
      text(left - 44, middle, y_name,
           small + " text-anchor=\"middle\" transform=\"rotate(-90 " + fixed(left - 44) + " " + fixed(middle) + ")\"");
  return out;
}

std::string Panel::line(const Points& points, const std::string& style) const {
  return "<polyline points=\"" + list(*this, points) + "\" fill=\"none\" " + style + "/>\n";
}

std::string Panel::area(const Points& points, const std::string& style) const {
  return "<polygon points=\"" + list(*this, points) + "\" " + style + "/>\n";
}

std::string text(double x, double y, const std::string& content, const std::string& style) {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" " + style + ">" + escaped(content) + "</text>\n";
}

std::string circle(double x, double y, double radius, const std::string& style) {
  return "<circle cx=\"" + fixed(x) + "\" cy=\"" + fixed(y) + "\" r=\"" + fixed(radius) + "\" " + style + "/>\n";
}

std::string cross(double x, double y, double radius, const std::string& style) {
  return segment(x - radius, y - radius, x + radius, y + radius, style) +
         segment(x - radius, y + radius, x + radius, y - radius, style);
}

}  // namespace tracer::svg
