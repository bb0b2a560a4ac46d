#include "host/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tracer::cli {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 10;
constexpr int kBarWidth = 24;

std::string rate(int64_t rows, double seconds) {
  return std::to_string(static_cast<int64_t>(static_cast<double>(rows) / std::max(seconds, 1e-9))) + " rows/s";
}

}  // namespace

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  char text[48];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(s / 3600),
                  static_cast<long long>(s / 60 % 60));
  else if (s >= 60)
    std::snprintf(text, sizeof text, "%lld min %02lld s", static_cast<long long>(s / 60),
                  static_cast<long long>(s % 60));
  else
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(s));
  return text;
}

Progress::Progress(const Console& console, std::string doing)
    : console_(console), doing_(std::move(doing)), terminal_(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\n", stderr);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

std::string Progress::line(double share) const {
  const double elapsed = seconds();
  std::string text = doing_ + ": " + std::to_string(rows_) + " rows, " + rate(rows_, elapsed);
  if (share > 0) {
    char percent_text[16];
    std::snprintf(percent_text, sizeof percent_text, "%3.0f %%", 100 * std::min(share, 1.0));
    text += ", " + duration(elapsed * (1 - std::min(share, 1.0)) / share) + " left";
    if (terminal_) {
      const int full = static_cast<int>(kBarWidth * std::min(share, 1.0));
      text = "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "] " + percent_text + "  " + text;
    } else {
      text = percent_text + (" " + text);
    }
  }
  return text;
}

void Progress::draw(const std::string& text) {
  std::fputs(("\r" + text + "\033[K").c_str(), stderr);
  drawn_ = true;
}

void Progress::advance(int64_t rows, double share) {
  rows_ += rows;
  if (console_.quiet || seconds() - shown_at_ < (terminal_ ? kRedrawSeconds : kLineSeconds)) return;
  shown_at_ = seconds();
  if (terminal_)
    draw(line(share));
  else
    console_.note(line(share));
}

void Progress::finish() {
  if (console_.quiet) return;
  const std::string text =
      doing_ + ": " + counted(rows_, "row") + " in " + duration(seconds()) + " (" + rate(rows_, seconds()) + ")";
  if (!terminal_) return console_.note(text);
  draw(text);
}

}  // namespace tracer::cli
