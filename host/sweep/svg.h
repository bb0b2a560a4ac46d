// Writing SVG: elements, and one panel with its axes.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tracer::svg {

std::string escaped(const std::string& text);  // for element content; what XML forbids becomes U+FFFD
std::string fixed(double v);                   // two decimals at most: coordinates

using Points = std::vector<std::pair<double, double>>;

// A rectangle of the picture with a scale: x by `scale` to [0, 1], y in [0, 1] as it is.
struct Panel {
  double left = 0, top = 0, width = 0, height = 0;
  std::function<double(double)> scale;

  double x(double v) const { return left + width * scale(v); }
  double y(double v) const { return top + height * (1 - v); }

  struct Tick {
    double at = 0;
    std::string text;
  };
  // Frame, grid, ticks (those that would overlap have no text), and the names of the axes.
  std::string axes(const std::string& title, const std::vector<Tick>& ticks, const std::string& x_name,
                   const std::string& y_name) const;
  // In coordinates of the data. style: attributes.
  std::string line(const Points& points, const std::string& style) const;
  std::string area(const Points& points, const std::string& style) const;
};

std::string text(double x, double y, const std::string& content, const std::string& style);
std::string segment(double x1, double y1, double x2, double y2, const std::string& style);
std::string circle(double x, double y, double radius, const std::string& style);
std::string cross(double x, double y, double radius, const std::string& style);

}  // namespace tracer::svg
