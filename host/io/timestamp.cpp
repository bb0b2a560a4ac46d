#include "host/io/timestamp.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace tracer::io {
namespace {

// Takes exactly `digits` digits off the front; false, leaving nothing sure, when they are not there.
bool take(std::string_view& s, size_t digits, int& value) {
  if (s.size() < digits) return false;
  value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (s[i] < '0' || s[i] > '9') return false;
    value = value * 10 + (s[i] - '0');
  }
  s.remove_prefix(digits);
  return true;
}

bool take(std::string_view& s, std::string_view any_of) {
  if (s.empty() || any_of.find(s[0]) == std::string_view::npos) return false;
  s.remove_prefix(1);
  return true;
}

// The offset from UTC in seconds at the front of s.
bool take_offset(std::string_view& s, int& seconds) {
  seconds = 0;
  if (s.empty() || take(s, "Zz")) return true;
  const int sign = s[0] == '-' ? -1 : 1;
  int hours = 0, minutes = 0;
  if (!take(s, "+-") || !take(s, 2, hours)) return false;
  if (!s.empty()) {
    take(s, ":");
    if (!take(s, 2, minutes)) return false;
  }
  seconds = sign * (hours * 3600 + minutes * 60);
  return hours <= 23 && minutes <= 59;
}

std::optional<double> parse_date_time(std::string_view s) {
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, sec = 0, offset = 0;
  double fraction = 0;
  if (!take(s, 4, y) || !take(s, "-") || !take(s, 2, mo) || !take(s, "-") || !take(s, 2, d)) return {};
  const std::chrono::year_month_day date(std::chrono::year(y), std::chrono::month(static_cast<unsigned>(mo)),
                                         std::chrono::day(static_cast<unsigned>(d)));
  if (!date.ok()) return {};
  if (!s.empty()) {
    if (!take(s, "Tt ") || !take(s, 2, h) || !take(s, ":") || !take(s, 2, mi)) return {};
    if (take(s, ":")) {
      if (!take(s, 2, sec)) return {};
      if (take(s, ".,")) {
        double unit = 1;
        int digit = 0;
        if (s.empty() || s[0] < '0' || s[0] > '9') return {};
        while (take(s, 1, digit)) fraction += digit * (unit /= 10);
      }
    }
    if (h > 23 || mi > 59 || sec > 60) return {};
    while (take(s, " ")) {
    }
    if (!take_offset(s, offset) || !s.empty()) return {};
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(int64_t{days} * 86400 + h * 3600 + mi * 60 + sec - offset) + fraction;
}

}  // namespace

std::optional<double> parse_timestamp(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (!std::isfinite(v)) return {};
    return v > 1e17 ? v / 1e9 : v > 1e14 ? v / 1e6 : v > 1e11 ? v / 1e3 : v;
  }
  return parse_date_time(text);
}

}  // namespace tracer::io
