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

ProgressLine::ProgressLine(const Console& console, std::string doing)
    : console_(console), doing_(std::move(doing)), terminal_(::isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (drawn_) std::fputs("\n", stderr);
}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

std::string ProgressLine::line(double share) const {
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

void ProgressLine::draw(const std::string& text) {
  std::fputs(("\r" + text + "\033[K").c_str(), stderr);
  drawn_ = true;
}

void ProgressLine::show(int64_t rows, double share) {
  rows_ = rows;
  if (console_.quiet || seconds() - shown_at_ < (terminal_ ? kRedrawSeconds : kLineSeconds)) return;
  shown_at_ = seconds();
  if (terminal_)
    draw(line(share));
  else
    console_.note(line(share));
}

void ProgressLine::finish() {
  if (console_.quiet) return;
  const std::string text =
      doing_ + ": " + counted(rows_, "row") + " in " + duration(seconds()) + " (" + rate(rows_, seconds()) + ")";
  if (!terminal_) return console_.note(text);
  draw(text);
}

}  // namespace tracer::cli
